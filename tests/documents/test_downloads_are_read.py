"""aws:downloadContent as it is read and rendered: no source here is ever fetched."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.documents.content import (
    Authentication,
    Content,
    ContentFile,
    ContentUnavailable,
    ContentUnknown,
    Credential,
    GitSource,
    HttpSource,
    S3Source,
    Source,
    Unavailable,
)
from reconciler.documents.error import RenderError
from reconciler.documents.render import Rendered, RenderedStep, render
from reconciler.ids import Digest, DocumentName
from reconciler.model.document import Document, DocumentVersions, Step
from reconciler.model.known import JsonValue


def a_document(*steps: Step, name: str = "Doc", text: bytes = b"") -> Document:
    return Document(name=DocumentName(name), schema_version="2.2", steps=steps, digest=Digest("0" * 64), text=text)


def a_library(*documents: Document) -> dict[DocumentName, DocumentVersions]:
    return {
        each.name: DocumentVersions(name=each.name, versions={"1": each}, default="1", latest="1") for each in documents
    }


def only(rendered: Rendered) -> RenderedStep:
    (step,) = rendered.steps
    return step


SHA = "a" * 64
URL = "https://files.example.org/x"


class Given:
    """Contents without a store."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.asked: list[Source] = []
        self.found: Content | Unavailable | None = Content(
            pin="commit " + "c" * 40,
            files=tuple(ContentFile(path=name, sha256=f"{number:064x}", size=1) for number, name in enumerate(files)),
        )

    def find(self, source: Source) -> Content | Unavailable | None:
        self.asked.append(source)
        return self.found

    def read(self, sha256: str) -> bytes:
        return list(self.files.values())[int(sha256, 16)]


def a_download(kind: str = "HTTP", destination: str | None = None, **info: JsonValue) -> Step:
    inputs: dict[str, JsonValue] = {"sourceType": kind, "SOURCEINFO": info}
    return Step(
        name="get",
        action="aws:downloadContent",
        inputs=inputs if destination is None else {**inputs, "destinationPath": destination},
    )


def source_of(kind: str, **info: JsonValue) -> Source:
    contents = Given(x=b"")
    rendered = render(a_document(a_download(kind, **info)), {}, stored={}, contents=contents)
    assert only(rendered).fail is None, only(rendered).fail
    (source,) = contents.asked
    return source


GITHUB = {"owner": "me", "repository": "mine"}


@pytest.mark.parametrize(
    ("kind", "info", "source"),
    [
        ("Git", {"repository": "https://git.example.org/a.git"}, {"repository": "https://git.example.org/a.git"}),
        ("Git", {"REPOSITORY": "ssh://git@h:22/a", "path": "/b/c/"}, {"repository": "ssh://git@h:22/a", "path": "b/c"}),
        (
            "Git",
            {"repository": "git@h:a", "privateSSHKey": "{{ ssm-secure:/k/1.x }}", "getOptions": "branch:refs/heads/x"},
            {"repository": "git@h:a", "key": Credential(secret="/k/1.x"), "ref": "refs/heads/x"},
        ),
        (
            "Git",
            {"repository": "git@h:a", "getOptions": "branch:refs/remotes/origin/x/y"},
            {"repository": "git@h:a", "ref": "refs/heads/x/y"},
        ),
        (
            "Git",
            {"repository": "git@h:a", "getOptions": f"commitID:{'b' * 40}"},
            {"repository": "git@h:a", "commit": "b" * 40},
        ),
        (
            "Git",
            {"repository": "https://h/a", "username": "me", "password": "{{ssm-secure:p}}"},
            {"repository": "https://h/a", "username": Credential(literal="me"), "password": Credential(secret="p")},
        ),
        ("GitHub", GITHUB, {"repository": "https://github.com/me/mine.git", "ref": "refs/heads/master"}),
        (
            "GitHub",
            {**GITHUB, "getOptions": "branch:main", "tokenInfo": "{{ssm-secure:t}}"},
            {
                "repository": "https://github.com/me/mine.git",
                "ref": "refs/heads/main",
                "username": Credential(literal="x-access-token"),
                "password": Credential(secret="t"),
            },
        ),
    ],
)
def test_a_repository_is_read_as_on_ssm(kind: str, info: dict[str, JsonValue], source: dict[str, Any]) -> None:
    assert source_of(kind, **info) == GitSource(**source)


def test_a_web_servers_file_is_read_as_on_ssm() -> None:
    assert source_of("HTTP", url=URL) == HttpSource(url=URL)
    assert source_of("HTTP", url="http://h/x", allowInsecureDownload="true") == HttpSource(
        url="http://h/x", insecure=True
    )
    login: dict[str, JsonValue] = {"username": "{{ssm-secure:u}}", "password": "{{ssm-secure:p}}"}
    assert source_of("HTTP", url=URL, authMethod="Digest", **login) == HttpSource(
        url=URL, authentication=Authentication.DIGEST, username=Credential(secret="u"), password=Credential(secret="p")
    )
    assert source_of("HTTP", url=URL, sha256=SHA.upper()) == HttpSource(url=URL, sha256=SHA)


SECURE = "{{ssm-secure:p}}"


@pytest.mark.parametrize(
    ("kind", "info", "reason"),
    [
        ("Ftp", {}, "sourceType must be one of GitHub, Git, HTTP, S3, SSMDocument"),
        ("http", {"url": URL}, "sourceType must be one of"),
        ("Git", {}, "sourceInfo has no repository"),
        ("Git", {"repository": "http://h/a"}, "write https:// or ssh://"),
        ("Git", {"repository": "file:///etc"}, "must begin with https:// or ssh://"),
        ("Git", {"repository": "/etc"}, "must begin with"),
        ("Git", {"repository": "ext::sh -c id"}, "blank"),
        ("Git", {"repository": "--upload-pack=id"}, "no address"),
        ("Git", {"repository": "https://u:p@h/a"}, "holds a login"),
        ("Git", {"repository": "https://h/a", "password": "plain"}, "never taken in plain text"),
        ("Git", {"repository": "https://h/a", "privateSSHKey": SECURE}, "for addresses over ssh alone"),
        ("Git", {"repository": "git@h:a", "password": SECURE}, "for https alone"),
        ("Git", {"repository": "git@h:a", "skipHostKeyChecking": "true"}, "host keys are always checked"),
        ("Git", {"repository": "git@h:a", "getOptions": "branch:a:b"}, "branch:NAME or commitID:SHA"),
        ("Git", {"repository": "git@h:a", "getOptions": "tag:a"}, "branch:NAME or commitID:SHA"),
        ("Git", {"repository": "git@h:a", "getOptions": "commitID:abc"}, "no full commit id"),
        ("Git", {"repository": "git@h:a", "getOptions": "branch:--all"}, "no name of a branch"),
        ("Git", {"repository": "git@h:a", "getOptions": "branch:a..b"}, "no name of a branch"),
        ("Git", {"repository": "git@h:a", "path": "../x"}, "leads out of its folder"),
        ("GitHub", {"owner": "a/b", "repository": "c"}, "no name of GitHub's"),
        ("GitHub", {"owner": "..", "repository": "c"}, "no name of GitHub's"),
        ("GitHub", {**GITHUB, "tokenInfo": "ghp_plain"}, "never taken in plain text"),
        ("HTTP", {"url": "http://h/x"}, "set allowInsecureDownload"),
        ("HTTP", {"url": "file:///etc/passwd"}, "must begin with https://"),
        ("HTTP", {"url": "https://h:x/"}, "is no URL"),
        ("HTTP", {"url": "https://h/a b"}, "blank"),
        ("HTTP", {"url": "https://h/\ud800"}, "control character"),
        ("HTTP", {"url": "https://u:p@h/"}, "holds a login"),
        ("HTTP", {"url": URL, "sha256": "abc"}, "64 hexadecimal digits"),
        ("HTTP", {"url": URL, "authMethod": "Kerberos"}, "None, Basic or Digest"),
        ("HTTP", {"url": URL, "authMethod": "Basic"}, "needs username and password"),
        ("HTTP", {"url": URL, "authMethod": "Basic", "username": "u", "password": "plain"}, "never taken in plain"),
        ("HTTP", {"url": URL, "authMethod": "Basic", "username": "{{ssm:u}} {{", "password": SECURE}, "stored"),
        (
            "HTTP",
            {
                "url": "http://h/",
                "allowInsecureDownload": True,
                "authMethod": "Basic",
                "username": "u",
                "password": SECURE,
            },
            "would tell everybody",
        ),
        ("S3", {}, "sourceInfo has no path"),
        ("S3", {"path": "http://s3.amazonaws.com/b/k"}, "must be https://s3.REGION"),
        ("S3", {"path": "https://s3.amazonaws.com/b"}, "no object and no folder"),
        ("S3", {"path": "https://s3.amazonaws.com/b/k?x=1"}, "no object and no folder"),
        ("S3", {"path": "https://s3.amazonaws.com/b/k/", "sha256": SHA}, "is for one object"),
        ("SSMDocument", {"name": "../x"}, "not NAME, NAME:VERSION"),
        ("SSMDocument", {"name": "Nothing"}, "there is no document Nothing"),
    ],
)
def test_inputs_that_ssm_or_we_refuse_fail_the_step(kind: str, info: dict[str, JsonValue], reason: str) -> None:
    contents = Given(x=b"")
    document = a_document(a_download(kind, **info))
    if reason == "stored":
        with pytest.raises(RenderError, match="no stored parameter u"):
            render(document, {}, stored={}, contents=contents)
    else:
        assert reason in (only(render(document, {}, stored={}, contents=contents)).fail or "")
    assert contents.asked == []


@pytest.mark.parametrize("info", ["[]", "no map", 7, None])
def test_source_info_is_a_map(info: JsonValue) -> None:
    step = Step(name="get", action="aws:downloadContent", inputs={"sourceType": "HTTP", "sourceInfo": info})
    assert "sourceInfo must be a map" in (only(render(a_document(step), {}, stored={})).fail or "")


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        *((path, "leads out of its folder") for path in ("../x", "a/../../x", "/opt/../etc", "..")),
        ("a\nb", "control character"),
        ("a\ud800", "control character"),
    ],
)
def test_no_destination_leads_out_of_its_folder(destination: str, reason: str) -> None:
    step = only(render(a_document(a_download(destination=destination, url=URL)), {}, stored={}, contents=Given(x=b"")))
    assert reason in (step.fail or "")


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("https://s3.eu-west-1.amazonaws.com/b/k/a%20b", "https://s3.eu-west-1.amazonaws.com/b/", "k/a b"),
        ("https://s3-eu-west-1.amazonaws.com/b/k", "https://s3-eu-west-1.amazonaws.com/b/", "k"),
        ("https://s3.amazonaws.com/b/k", "https://s3.amazonaws.com/b/", "k"),
        ("https://b.s3.eu-west-1.amazonaws.com/k/", "https://b.s3.eu-west-1.amazonaws.com/", "k/"),
        ("https://b.s3.amazonaws.com/k", "https://b.s3.amazonaws.com/", "k"),
        ("https://minio.example.org:9000/b/k", "https://minio.example.org:9000/b/", "k"),
    ],
)
def test_a_bucket_stands_in_the_path_or_in_the_hosts_name(path: str, bucket: str, key: str) -> None:
    source = source_of("S3", path=path)
    assert source == S3Source(url=path)
    assert source.bucket_and_key == (bucket, key)


def test_all_sources_that_nobody_looked_at_are_named_at_once() -> None:
    document = a_document(a_download(url=URL), a_download(url=f"{URL}2"), a_download(url=URL))
    with pytest.raises(ContentUnknown) as caught:
        render(document, {}, stored={})
    assert caught.value.sources == (HttpSource(url=URL), HttpSource(url=f"{URL}2"))
    assert caught.value.waits


def test_a_download_that_is_skipped_is_looked_at_by_nobody() -> None:
    step = Step(
        name="get",
        action="aws:downloadContent",
        precondition={"StringEquals": ["platformType", "Windows"]},
        inputs={"sourceType": "HTTP", "sourceInfo": {"url": URL}},
    )
    assert only(render(a_document(step), {}, stored={})).skip


def test_what_cannot_be_fetched_makes_the_document_wait() -> None:
    contents = Given()
    contents.found = Unavailable(reason="the server is silent")
    with pytest.raises(ContentUnavailable, match=r"files\.example\.org/x: the server is silent") as caught:
        render(a_document(a_download(url=URL)), {}, stored={}, contents=contents)
    assert caught.value.waits


def rendered(*steps: Step, contents: Given, documents: tuple[Document, ...] = ()) -> Rendered:
    return render(a_document(*steps), {}, stored={}, contents=contents, documents=a_library(*documents))


def test_the_digest_covers_what_is_downloaded_and_where_it_goes() -> None:
    one, other = Given(a=b"1"), Given(b=b"1", a=b"2")
    first = rendered(a_download(url=URL), contents=one)
    assert first.digest == rendered(a_download(url=URL), contents=one).digest
    assert first.digest != rendered(a_download(url=URL), contents=other).digest
    assert first.digest != rendered(a_download(url=URL, destination="x"), contents=one).digest
    assert set(first.blobs.sizes) >= {f"{0:064x}"}
    assert [each.in_words for each in first.fetched] == [
        f"{URL}: commit {'c' * 40} (mutable: nothing pins it)",
    ]


def local(path: str, **inputs: JsonValue) -> Step:
    return Step(
        name="run",
        action="aws:runDocument",
        inputs={"documentType": "LocalPath", "documentPath": path, **inputs},
    )


YAML = b"schemaVersion: '2.2'\nparameters: {w: {type: String, default: d}}\nmainSteps: [{name: s, action: 'aws:runShellScript', inputs: {runCommand: ['echo {{ w }}']}}]\n"
JSON = b'\n{"schemaVersion": "2.2", "mainSteps": [{"name": "s", "action": "aws:runShellScript", "inputs": {"runCommand": ["echo d"]}}]}'


@pytest.mark.parametrize("data", [YAML, JSON])
@pytest.mark.parametrize(
    ("destination", "path"),
    [("", "doc"), ("x/", "x/doc"), ("x", "./x/doc"), ("/opt", "/opt/doc"), ("/opt/a/", "/opt//a/doc")],
)
def test_a_downloaded_document_is_run_whatever_its_file_is_called(data: bytes, destination: str, path: str) -> None:
    found = rendered(a_download(url=URL, destination=destination), local(path), contents=Given(doc=data)).steps[1]
    assert (found.name, found.script) == ("run/s", b"echo d\n")
    assert found.needs is not None
    assert found.needs.sha256 == f"{0:064x}"


def test_parameters_reach_a_downloaded_document() -> None:
    step = local("doc", documentParameters={"w": "given"})
    found = rendered(a_download(url=URL), step, contents=Given(doc=YAML)).steps[1]
    assert found.script == b"echo given\n"


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (YAML, "other", "no earlier step of the document downloads other"),
        (YAML, "/etc/doc", "no earlier step"),
        (b"", "doc", "is no document"),
        (b"just text", "doc", "is no document"),
        (b"schemaVersion: '9'\n", "doc", "is no document"),
        (b"\xff\xfe\x00", "doc", "is no document"),
        (
            b"schemaVersion: '0.3'\nmainSteps: [{name: a, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n",
            "doc",
            "runbook",
        ),
        (YAML + b"---\n" + YAML, "doc", "is no document"),
    ],
)
def test_what_is_no_document_fails_the_step_that_runs_it(data: bytes, path: str, reason: str) -> None:
    found = rendered(a_download(url=URL), local(path), contents=Given(doc=data)).steps[1]
    assert reason in (found.fail or "")


def test_a_document_is_not_run_before_it_is_downloaded() -> None:
    found = rendered(local("doc"), a_download(url=URL), contents=Given(doc=YAML)).steps[0]
    assert "no earlier step" in (found.fail or "")


def test_downloaded_documents_run_each_other_three_deep_and_no_deeper() -> None:
    again = (
        b"schemaVersion: '2.2'\nmainSteps: [{name: a, action: 'aws:runDocument', "
        b"inputs: {documentType: LocalPath, documentPath: doc}}]\n"
    )
    found = rendered(a_download(url=URL), local("doc"), contents=Given(doc=again)).steps[1]
    assert "at most 3 deep" in (found.fail or "")
    assert len(found.within) == 3


def test_a_document_of_the_library_is_stored_as_json() -> None:
    text = b"schemaVersion: '2.2'\nmainSteps: [{name: s, action: 'aws:runShellScript', inputs: {runCommand: [id]}}]\n"
    inner = a_document(name="Inner", text=text)
    get = a_download("SSMDocument", "in/", name="Inner")
    found = rendered(get, local("in/Inner.json"), contents=Given(), documents=(inner,))
    assert found.steps[1].script == b"id\n"
    assert any(b'"schemaVersion": "2.2"' in made for made in found.blobs.made.values())


def test_too_many_files_are_refused_in_words() -> None:
    many = Given(**{f"f{number}": b"" for number in range(5001)})
    with pytest.raises(RenderError, match="more than 5000 files"):
        rendered(a_download(url=URL), contents=many)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        "https://",
        "http://h",
        "git@h:a",
        "ssh://",
        "[::1",
        "s3.amazonaws.com/b/",
        "..",
        "/",
        "\ud800",
        "{{ssm-secure:a}}",
        "branch:",
        "a:b",
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=4).map("".join)
NAMES = [
    "url",
    "repository",
    "owner",
    "path",
    "getOptions",
    "tokenInfo",
    "username",
    "password",
    "privateSSHKey",
    "authMethod",
    "name",
    "sha256",
]


@given(
    kind=st.sampled_from(["GitHub", "Git", "HTTP", "S3", "SSMDocument"]) | ANY,
    info=st.dictionaries(st.sampled_from(NAMES), TEXTS) | ANY,
    destination=TEXTS | ANY,
)
def test_whatever_the_inputs_are_they_are_taken_or_refused_in_our_words(
    kind: JsonValue, info: JsonValue, destination: JsonValue
) -> None:
    inputs: dict[str, JsonValue] = {"sourceType": kind, "sourceInfo": info, "destinationPath": destination}
    document = a_document(Step(name="get", action="aws:downloadContent", inputs=inputs))
    with suppress(RenderError):
        step = only(render(document, {}, stored={}, contents=Given(x=b"")))
        assert (step.script is None) != (step.fail is None)
