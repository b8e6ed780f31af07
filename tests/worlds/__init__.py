"""Generated worlds, each made from one integer: a catalogue, its subscribers and a script of calls, played by the oracle and by the engine."""
