"""Wall-clock rules turned into sorted instants, so that kernels need no time zones: quiet hours and calendar windows."""
