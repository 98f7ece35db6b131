"""The running stack that the live suite drives, and what its tests may make there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import local_stack, medplum, projects, router, scratch, target
from tests.live import stage as stage_module
from tests.live.medplum import Session
from tests.live.projects import Clinic
from tests.live.safety_model import ModelControl
from tests.live.safety_people import People
from tests.live.safety_theatre import Theatre
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.live.target import Target
from tests.live.watch import Watch

HERE = Path(__file__).parent
NO_SUPER_ADMIN = "needs a super admin: set MEDPLUM_SUPER_EMAIL and MEDPLUM_SUPER_PASSWORD"
NO_BOTS = "the project lacks the feature bots, which only a super admin can give"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they are live, and may open sockets."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.enable_socket)


@pytest.fixture(scope="session", name="target")
def _target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The stack under test."""
    if not target.given():
        with local_stack.running(tmp_path_factory) as stack:
            yield stack
    else:
        yield target.from_environment()


@pytest.fixture(scope="session")
def whole(target: Target) -> Iterator[Target]:
    """The stack under test with a model router: its own, or one that is started here."""
    if target.router_url:
        yield target
        return
    with router.running() as url:
        yield target.with_router(url, None)


@pytest.fixture(scope="session")
def nobody(target: Target) -> Iterator[Session]:
    """A session that is not logged in."""
    with Session(target.base_url) as session:
        yield session


@pytest.fixture(scope="session")
def super_admin_if_any(target: Target, nobody: Session) -> Iterator[Session | None]:
    """A session of the server's super admin, where the target names one."""
    if target.super_admin is None:
        yield None
        return
    token = medplum.sign_in(nobody, target.super_admin)["access_token"]
    with nobody.with_token(token) as session:
        yield session


@pytest.fixture(scope="session")
def super_admin(super_admin_if_any: Session | None) -> Session:
    """A session of the server's super admin; skips where there is none."""
    if super_admin_if_any is None:
        pytest.skip(NO_SUPER_ADMIN)
    return super_admin_if_any


@pytest.fixture(scope="session")
def home(target: Target, nobody: Session) -> Iterator[Clinic]:
    """The project that the target names; it may hold data, and nothing of it is lost."""
    token = medplum.sign_in(nobody, target.owner, target.project)["access_token"]
    with nobody.with_token(token) as admin:
        me = medplum.expect(admin.get("auth/me"))
        project = admin.read(f"Project/{me['project']['id']}")
        features = frozenset(project.get("features", []))
        yield Clinic(project["id"], project["name"], admin, target.owner, features)


@pytest.fixture(scope="module")
def clinic(super_admin_if_any: Session | None, home: Clinic) -> Iterator[Clinic]:
    """The project that the tests of server facts work in: a new one where that is allowed.

    One for each module, because a server counts what a membership does in a minute.
    """
    if super_admin_if_any is None:
        yield home
        return
    made = projects.make_project(super_admin_if_any, "facts", ["bots"])
    try:
        yield made
    finally:
        projects.remove_project(super_admin_if_any, made)


@pytest.fixture(scope="session")
def of_5_1(nobody: Session) -> bool:
    """Whether the server is a Medplum 5.1, which gives bots other globals than later releases."""
    version = medplum.expect(nobody.get("healthcheck"))["version"]
    return str(version).startswith("5.1.")


@pytest.fixture
def admin(clinic: Clinic) -> Session:
    """A session of the admin of `clinic`."""
    return clinic.admin


@pytest.fixture
def made(clinic: Clinic) -> Iterator[Scratch]:
    """What the test makes in `clinic`; deleted after it."""
    with scratch.of(clinic) as things:
        yield things


@pytest.fixture
def bots(clinic: Clinic, made: Scratch) -> Scratch:
    """The same, in a project where bots run."""
    if "bots" not in clinic.features:
        pytest.skip(NO_BOTS)
    return made


@pytest.fixture
def watch(bots: Scratch) -> Watch:
    """Subscriptions of one bot, in a project where bots run."""
    return Watch(bots)


@pytest.fixture
def new_project(super_admin: Session) -> Iterator[Callable[..., Clinic]]:
    """Makes projects with given features; they are removed after the test."""
    clinics: list[Clinic] = []

    def make(what: str, *features: str) -> Clinic:
        clinics.append(projects.make_project(super_admin, what, features))
        return clinics[-1]

    yield make
    for clinic in clinics:
        projects.remove_project(super_admin, clinic)


@pytest.fixture(scope="module")
def stage(
    super_admin_if_any: Session | None,
    home: Clinic,
    whole: Target,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """A project for medbots' bots, with nothing deployed: a new one where that is allowed."""
    folder = tmp_path_factory.mktemp("stage")
    if super_admin_if_any is None:
        if "bots" not in home.features:
            pytest.skip(NO_BOTS)
        with stage_module.of(home, whole, folder) as made:
            yield made
        return
    clinic = projects.make_project(super_admin_if_any, "stage", ["bots"])
    try:
        with stage_module.of(clinic, whole, folder) as made:
            yield made
    finally:
        projects.remove_project(super_admin_if_any, clinic)


@pytest.fixture(scope="module")
def deployed(stage: Stage) -> Stage:
    """The same after the main job: bots, subscriptions, database."""
    stage.deploy()
    return stage


@pytest.fixture
def records(deployed: Stage) -> Iterator[Scratch]:
    """What the test makes in the deployed project; deleted after it, with its rows."""
    with stage_module.records(deployed) as things:
        yield things


@pytest.fixture(scope="module")
def theatre(
    super_admin_if_any: Session | None,
    home: Clinic,
    target: Target,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Theatre]:
    """A clinic with all bots, and a model server of its own: faults must not meet other tests."""
    if super_admin_if_any is None and "bots" not in home.features:
        pytest.skip(NO_BOTS)
    folder = tmp_path_factory.mktemp("theatre")
    clinic = home
    with router.running() as url:
        if super_admin_if_any is not None:
            clinic = projects.make_project(super_admin_if_any, "safety", ["bots"])
            projects.lift_quota(super_admin_if_any, clinic.id)
        control = ModelControl(url)
        try:
            with (
                stage_module.of(clinic, target.with_router(url, None), folder) as stage,
                scratch.of(clinic) as made,
            ):
                stage.deploy()
                people = People(made)
                # A project of our own goes as a whole.
                spare = super_admin_if_any is not None
                try:
                    yield Theatre(stage, people, control, folder, keeps=spare)
                finally:
                    people.close()
        finally:
            control.close()
            if super_admin_if_any is not None:
                projects.remove_project(super_admin_if_any, clinic)
