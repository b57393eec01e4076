"""One frozen :class:`Settings` object, read once from the environment and the command line.

Nothing else in the backend reads the environment. Every field is the variable ``KEYTRACK_<FIELD>`` and, where a
command offers it, the option ``--<field>``; an option wins over the variable, the variable over the default.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.errors import SettingsError

ENV_PREFIX = "KEYTRACK_"


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))
    except RuntimeError as error:  # "~" where no home directory is known
        raise ValueError(str(error)) from error


def _directory_or_new(path: Path) -> Path:
    path = _absolute(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; give a directory")
    return path


def _existing_directory(path: Path) -> Path:
    path = _absolute(path)
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory; create it or give another")
    return path.resolve()


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|xpu|cuda(:\d+)?", name):
        raise ValueError("give auto, cpu, cuda, cuda:<number>, mps or xpu")
    return name


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give an address such as http://localhost:8080")
    if parts.username or parts.password:
        raise ValueError("leave user and password out of the address; set KEYTRACK_LABEL_STUDIO_TOKEN")
    if parts.query or parts.fragment:
        raise ValueError("give the address without a query or a fragment")
    return url.rstrip("/")


def _positive(size: ByteSize) -> ByteSize:
    if size <= 0:
        raise ValueError("give a size above 0, such as 512MiB")
    return size


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _host_name(host: str) -> str:
    if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?", host):
        raise ValueError(f"{host!r} is not a host name; give names such as media.example.org, separated by commas")
    return host.lower()


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _default_data_dir() -> Path:
    """``keytrack`` under the XDG data directory."""
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():  # the XDG rule: unset, empty or relative means the default
        base = Path("~/.local/share")
    return base / "keytrack"


def _default_weights_dir(values: dict[str, Any]) -> Path:
    data_dir: Path = values.get("data_dir", Path())  # it is missing where it was refused
    return data_dir / "weights"


NewDirectory = Annotated[Path, AfterValidator(_directory_or_new)]
Bytes = Annotated[ByteSize, AfterValidator(_positive)]
HostName = Annotated[str, AfterValidator(_host_name)]


class Settings(BaseSettings):
    """What a user can choose; build it with :func:`load_settings`.

    Sizes accept units ("512MiB"); paths accept "~" and are made absolute.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", validate_default=True
    )

    host: str = Field("127.0.0.1", min_length=1, description="address the backend listens on")
    port: int = Field(9090, ge=0, le=65535, description="port the backend listens on; 0 takes a free one")
    data_dir: NewDirectory = Field(
        default_factory=_default_data_dir, description="directory for stored tracks, downloaded media and weights"
    )
    weights_dir: NewDirectory = Field(
        default_factory=_default_weights_dir,
        description="directory for model weights; by default weights in the data directory",
    )
    media_root: Annotated[Path, AfterValidator(_existing_directory)] | None = Field(
        None, description="directory that plain file paths in tasks may lie in; without it none is allowed"
    )
    profile: Annotated[Literal["lite", "full", "auto"], BeforeValidator(_lower)] = Field(
        "auto",
        description="models: lite (MobileSAM alone, any machine), full (SAM ViT-H and XMem, a GPU), or auto: full "
        "where there is a CUDA device and its weights have been fetched",
    )
    segmenter: Annotated[
        Literal["auto", "mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h"], BeforeValidator(_lower)
    ] = Field(
        "auto",
        description="what makes masks of prompts: mobile_sam, sam_vit_b, sam_vit_l or sam_vit_h; auto takes the "
        "profile's",
    )
    propagator: Annotated[Literal["auto", "sam_tokens", "xmem", "xmem_s012"], BeforeValidator(_lower)] = Field(
        "auto",
        description="what carries masks from frame to frame: sam_tokens (MobileSAM's), xmem or xmem_s012; auto takes "
        "the profile's",
    )
    refine: Annotated[Literal["off", "triggered", "always"], BeforeValidator(_lower)] = Field(
        "off",
        description="whether the segmenter refines propagated masks, and propagation goes on from them: off, triggered "
        "(those in doubt) or always; see docs/refinement.md",
    )
    embedder: Annotated[Literal["off", "sam", "masa_r50", "masa_sam_b", "masa_sam_h"], BeforeValidator(_lower)] = Field(
        "sam",
        description="what tells objects apart by their looks, keeps identities where they cross and knows them again: "
        "sam (MobileSAM's features), masa_r50, masa_sam_b, masa_sam_h, or off; see docs/association.md",
    )
    xmem_mode: Annotated[Literal["eager", "compile", "graphs"], BeforeValidator(_lower)] = Field(
        "eager",
        description="how XMem's network runs: eager, compile (torch.compile: the first frames take minutes) or graphs "
        "(CUDA graphs); the last two for long videos of one size",
    )
    device: Annotated[str, BeforeValidator(_lower), AfterValidator(_device)] = Field(
        "auto", description="where the models run: auto, cpu, cuda, cuda:<number>, mps or xpu"
    )
    budget_seconds: float = Field(
        10.0, gt=0, lt=95, description="seconds a press may take before it returns what is done by then"
    )
    max_jobs: int = Field(
        64, ge=1, description="presses that are at work or wait at a time; further ones are told that it is busy"
    )
    keyframe_iou: float = Field(
        0.95, ge=0.5, le=1, description="least IoU between an interpolated box and the tracked one; lower is sparser"
    )
    prelabel: Annotated[Literal["off", "detections", "everything"], BeforeValidator(_lower)] = Field(
        "detections",
        description="which tasks are tracked without a press, when Label Studio asks for predictions: off, detections "
        "(those that have boxes of another model or of a human) or everything (the others too, whatever looks like an "
        "object, if the project has one label)",
    )
    label_studio_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None,
        description="address of Label Studio, to fetch media from and to post predictions to; by default what Label "
        "Studio reports",
    )
    label_studio_token: SecretStr | None = Field(
        None, description="Label Studio token, legacy or personal access; by default what Label Studio reports"
    )
    username: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="user name that callers have to bring, as basic authentication; by default none"
    )
    password: SecretStr | None = Field(None, description="the password that belongs to the user name")
    webhook_secret: SecretStr | None = Field(
        None, description="secret that webhooks have to bring in their header X-Keytrack-Secret"
    )
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_comma_separated)] = Field(
        (), description="hosts beside Label Studio's that media may come from, separated by commas"
    )
    max_media_bytes: Bytes = Field(ByteSize(8 << 30), description="largest media file that is fetched")
    media_cache_bytes: Bytes | None = Field(
        None,
        description="room on the disk for all media that are fetched: what was not used for longest is removed, and "
        "fetched again when it is wanted; by default a quarter of the disk",
    )
    embedding_cache_bytes: Bytes = Field(
        ByteSize(512 << 20), description="memory for image embeddings, so that no frame is encoded twice"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads for the models; by default torch decides")
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        "text", description="how log lines are written: text, or json (an object a line)"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="least severe messages that are logged: debug, info, warning or error"
    )


def option_name(field: str) -> str:
    """The command line's name of a settings field: ``--media-root`` for ``media_root``."""
    return "--" + field.replace("_", "-")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; overrides that are None (options not given) are left to the environment.

    Raises:
        SettingsError: a value that cannot be used; the message names the variable and the option.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [_describe(problem) for problem in error.errors() if problem["type"] != "default_factory_not_called"]
        raise SettingsError("; ".join(problems)) from None  # the chained error would show a token


# By the numbers of <malloc.h>: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX.
_MALLOC = {-3: 1 << 30, -1: 1 << 30, -8: 1}


def share_processors() -> None:
    """Make torch a good neighbour; to be called before torch is imported, and never against the user's own choice.

    Waiting threads sleep instead of spin.
    Spinning is what OpenMP does by default, and is a little faster on a machine that has nothing else to do. Where
    Label Studio or a browser wants a core too, threads that spin keep it from the one they wait for: on two cores a
    frame then takes five times as long.

    oneDNN keeps the kernels of the last 1,024 shapes it met. An object's surroundings have another shape on almost
    every frame, so that a long track would fill it all: about 400 kB each, and of no use.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


def reuse_memory() -> None:
    """Let glibc keep the large blocks that are freed, for the next; never against the user's own choice.

    By itself it takes a block of tens of MB from the system anew each time, and hands it back when it is freed: a
    network whose layers are as large then waits for the system to clear their pages. Up to a GB stays with the process
    instead. One arena, since a thread's own arenas do not hold blocks of that size.
    """
    chosen = "malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
    if mallopt is not None:
        for parameter, value in _MALLOC.items():
            mallopt(parameter, value)


def wait_policy() -> str:
    """How OpenMP's idle threads wait: what :func:`share_processors` or the user chose, "" where nobody did."""
    return os.environ.get("OMP_WAIT_POLICY", "")


def ray_address() -> str | None:
    """The cluster that the environment names, which is how Ray itself finds it; None where it names none."""
    return os.environ.get("RAY_ADDRESS") or None


def ray_quiet() -> None:
    """Keep Ray from telling its makers of its use; to be called before it is imported, and never against the user's
    own choice."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def ray_alone() -> None:
    """Make a Ray cluster that is started here listen to this machine alone; to be called before Ray is imported.

    By itself it listens at all of the machine's addresses, except on systems on which it has no clusters of several
    machines: hence the variable's name.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def foreign_variables() -> dict[str, str]:
    """The environment without our own variables: for a service that is started with settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(ENV_PREFIX)}


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that are no setting: most often a typing mistake.

    They are worth a warning and no more: Kubernetes, for one, sets such variables by itself.
    """
    names = os.environ if environment is None else environment
    known = {(ENV_PREFIX + field).upper() for field in Settings.model_fields}
    return sorted(name for name in names if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)


def _describe(problem: Any) -> str:
    field = str(problem["loc"][0]) if problem["loc"] else ""
    if field not in Settings.model_fields:
        return f"{field}: there is no such setting"
    reason = str(problem.get("ctx", {}).get("error") or problem["msg"])
    secret = Settings.model_fields[field].annotation == SecretStr | None
    value = "" if secret else f" (got {problem['input']!r})"
    return f"{ENV_PREFIX}{field.upper()} / {option_name(field)}: {reason}{value}"
