"""Media and tokens of a real Label Studio."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.demo.studio import STUDIO_SETTINGS
from backend.errors import LabelStudioError, MediaError
from backend.labelstudio.client import LabelStudioClient, is_personal_token
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.settings import load_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def personal_token(studio) -> str:
    token = studio.client.post("/api/token/")["token"]
    assert is_personal_token(token)
    return token


@pytest.fixture
def library(studio, tmp_path):
    def make(token: str | None = None, **options) -> MediaLibrary:
        settings = load_settings(
            data_dir=tmp_path / "data", label_studio_url=studio.url, label_studio_token=token, **options
        )
        return MediaLibrary(settings)

    return make


@pytest.fixture(scope="module")
def upload(studio, project) -> str:
    return studio.client.get(f"/api/tasks/{project.tasks['street']}")["data"]["video"]


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_an_upload_by_either_token(studio, clips, library, upload, personal_token, kind):
    token = studio.account.token if kind == "legacy" else personal_token
    assert upload.startswith("/data/upload/")
    assert library(token).resolve(upload).read_bytes() == clips["street"].path.read_bytes()


def test_an_upload_by_the_token_that_setup_reports(studio, clips, tmp_path, upload):
    media = MediaLibrary(load_settings(data_dir=tmp_path / "data"))
    reported = LabelStudioAccess(studio.url, SecretStr(studio.account.token))
    assert media.resolve(upload, reported).read_bytes() == clips["street"].path.read_bytes()


@pytest.mark.parametrize(
    ("token", "message"), [(None, "wants a token"), ("0" * 40, "refused the token"), ("eyJ0.eyJ0.c2ln", "refused")]
)
def test_without_a_good_token(library, upload, token, message):
    with pytest.raises(MediaError, match=f"{message}.*KEYTRACK_LABEL_STUDIO_TOKEN"):
        library(token).resolve(upload)


def test_a_file_of_a_local_files_storage(studio, project, clips, library):
    root = Path(STUDIO_SETTINGS["LOCAL_FILES_DOCUMENT_ROOT"])
    videos = root / "videos"
    videos.mkdir()
    (videos / "a b.mp4").write_bytes(clips["street"].path.read_bytes())
    (root / "secret.mp4").write_bytes(b"secret")
    studio.client.post("/api/storages/localfiles", {"project": project.id, "path": str(videos), "use_blob_urls": True})
    media = library(studio.account.token)
    assert media.resolve("/data/local-files/?d=videos/a%20b.mp4").read_bytes() == clips["street"].path.read_bytes()
    with pytest.raises(MediaError, match="only if a Local Files storage"):
        media.resolve("/data/local-files/?d=secret.mp4")


def test_the_client_works_with_a_personal_token(studio, personal_token):
    client = LabelStudioClient(studio.url, personal_token)
    assert client.get("/api/current-user/whoami")["email"] == studio.account.email
    client.auth._access = client.auth._access[:-3] + "AAA"  # as when Label Studio changed its key
    assert client.get("/api/current-user/whoami")["email"] == studio.account.email


def test_the_client_tells_a_refused_token(studio):
    with pytest.raises(LabelStudioError, match="token is missing or refused"):
        LabelStudioClient(studio.url, "0" * 40).get("/api/projects")
