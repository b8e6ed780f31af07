"""The texts that a base's codes mean, while it is built."""

import numpy as np
import numpy.typing as npt

from engine.base.records import Texts
from engine.base.schema import BaseSchema


class Names:
    """Distinct texts in order of first sight, and their numbers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def numbers(self, texts: list[str]) -> npt.NDArray[np.uint32]:
        """Return the number of each text, new ones included; one more at the end stands for none."""
        numbers = list(map(self._numbers.get, texts))
        for index, number in enumerate(numbers):
            if number is None:
                numbers[index] = self._numbers.setdefault(texts[index], len(self.texts))
                if numbers[index] == len(self.texts):
                    self.texts.append(texts[index])
        return np.array([*numbers, 0], np.uint32)


class Codes:
    """The texts of each string attribute, of zones and of languages."""

    def __init__(self, schema: BaseSchema) -> None:
        self.strings = [Names() for _ in schema.attributes]
        self.zones = Names()
        self.languages = Names()
        self._told = [0] * (len(self.strings) + 2)

    def texts(self) -> Texts:
        """Return what the codes mean so far."""
        return Texts([names.texts for names in self.strings], self.zones.texts, self.languages.texts)

    def news(self) -> list[list[str]]:
        """Return the texts that came since the last call: by string attribute, then zones, then languages."""
        every = self._every()
        news = [names.texts[told:] for names, told in zip(every, self._told, strict=True)]
        self._told = [len(names.texts) for names in every]
        return news

    def learn(self, news: list[list[str]]) -> None:
        """Take what `news` gave when these rows were read before."""
        for names, texts in zip(self._every(), news, strict=True):
            names.numbers(texts)
        self.news()

    def _every(self) -> list[Names]:
        return [*self.strings, self.zones, self.languages]
