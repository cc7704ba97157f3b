"""What to train: where the base model comes from, and whether all of it or a low-rank adapter is trained."""

from pydantic import Field

from kubeswarm_api.base import Model, OneOf, pattern_message


class Lora(Model):
    """A low-rank adapter (Hu et al., arXiv 2106.09685) on all linear layers, trained instead of the full weights."""

    rank: int = Field(default=16, ge=1, le=512, description="Rank of the two factors.")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale of the update; it is applied as alpha / rank.")


class ModelSource(OneOf):
    """The base model: a directory in Hugging Face format, from exactly one of an image, a claim or a hub."""

    one_of = ("image", "claim", "hub")

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="OCI image whose root (or `path` in it) is the model directory; mounted read-only.",
    )
    claim: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="PersistentVolumeClaim in the same namespace that holds the model directory; mounted read-only.",
    )
    hub: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+)?$",
        max_length=256,
        description="Model on a hub as owner/name, with @revision if wanted; fetched by the worker when it starts.",
        json_schema_extra=pattern_message("hub must be owner/name or owner/name@revision"),
    )
    path: str = Field(
        default="",
        max_length=512,
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)?$",
        description="Sub-directory of the image or claim that holds config.json. Empty: its root.",
        json_schema_extra=pattern_message("path must be a relative directory such as models/base, without . and .."),
    )
    lora: Lora | None = Field(default=None, description="Train a low-rank adapter. Left out: all weights are trained.")
