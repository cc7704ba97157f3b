"""The base of every type here: camelCase outside, snake_case inside, immutable, strict about unknown fields."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

GROUP = "kubeswarm.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


#: Key of json_schema_extra: what is said at admission of a value that doesn't match the field's pattern.
PATTERN_MESSAGE = "patternMessage"


def pattern_message(message: str) -> dict[str, Any]:
    """For a Field with a pattern: what the value must look like, for a person."""
    return {PATTERN_MESSAGE: message}


def cel(rule: str, message: str, **more: Any) -> dict[str, Any]:
    """A CEL validation rule as the CustomResourceDefinition wants it."""
    return {"rule": rule, "message": message, **more}


class Model(BaseModel):
    """An immutable value with camelCase field names in JSON; unknown fields are errors."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    #: CEL rules that the schema of this type carries (see `kubeswarm_api.crd`).
    cel_rules: ClassVar[tuple[dict[str, Any], ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """This value as plain JSON data, camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_compact(self) -> dict[str, Any]:
        """The same without what is default: it stays as it is when a later version has more fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


class OneOf(Model):
    """A type of which exactly one of the fields in `one_of` is set: checked here and by CEL at admission."""

    one_of: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if len(given) != 1:
            names = ", ".join(to_camel(name) for name in self.one_of)
            raise ValueError(f"set exactly one of {names} (got {', '.join(map(to_camel, given)) or 'none'})")
        return self

    @classmethod
    def exactly_one_rule(cls) -> dict[str, Any]:
        """The CEL rule which says the same as the validator."""
        names = [to_camel(name) for name in cls.one_of]
        count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
        return cel(f"{count} == 1", f"set exactly one of {', '.join(names)}")
