/** Finds out who asks: a bearer token of a login, or a client's id and secret by Basic. */
import type { WithId } from '@medplum/core';
import { createReference, forbidden, isNotFound, normalizeOperationOutcome, OperationOutcomeError } from '@medplum/core';
import type { ClientApplication, Login, Project, ProjectMembership, Resource } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import type { RepositoryContext } from '../fhir/context.ts';
import { Repository } from '../fhir/repository.ts';
import type { AuthState, Exchange } from '../http/exchange.ts';
import type { FhirQuota } from '../http/rateLimits.ts';
import { effectivePolicy } from './accessPolicy.ts';
import { clientMembership, membershipOf } from './directory.ts';
import { sameText } from './signer.ts';

/** Sets `x.auth` and `x.repository`; leaves them unset for a token that is none. */
export async function authenticate(x: Exchange): Promise<void> {
  const [scheme, token] = (x.header('authorization') ?? '').split(' ');
  const auth = token ? findAuth(x.app, scheme, token) : undefined;
  if (!auth) {
    return;
  }
  const onBehalfOf = x.header('x-medplum-on-behalf-of');
  if (onBehalfOf) {
    addOnBehalfOf(x.app, auth, onBehalfOf);
  }
  x.auth = auth;
  x.quota = auth.project.superAdmin ? undefined : quotaFor(x.app, auth);
  x.repository = repositoryFor(x.app, auth, { extended: x.header('x-medplum') === 'extended', quota: x.quota });
}

function findAuth(app: App, scheme: string | undefined, token: string): AuthState | undefined {
  return scheme === 'Bearer' ? byToken(app, token) : scheme === 'Basic' ? byClient(app, token) : undefined;
}

/** A login or client that is gone means not logged in; a membership or project that is gone is a 404. */
function tryRead<T extends Resource>(app: App, type: T['resourceType'], id: unknown): WithId<T> | undefined {
  const found = app.system.tryRead(`${type}/${String(id)}`);
  return found instanceof Error ? undefined : (found as WithId<T>);
}

function byToken(app: App, token: string): AuthState | undefined {
  const claims = app.signer.claims(token);
  if (!claims) {
    return undefined;
  }
  const login = tryRead<Login>(app, 'Login', claims.login_id);
  if (!login?.membership || login.revoked) {
    return undefined;
  }
  const membership = app.system.readReferenceNow<ProjectMembership>(login.membership);
  return stateOf(app, login, membership);
}

function byClient(app: App, token: string): AuthState | undefined {
  const [id, secret] = Buffer.from(token, 'base64').toString('latin1').split(':');
  const client = tryRead<ClientApplication>(app, 'ClientApplication', id);
  if (!client || !sameText(client.secret, secret)) {
    return undefined;
  }
  const membership = clientMembership(app, client);
  const login: Login = {
    resourceType: 'Login',
    user: createReference(client),
    authMethod: 'client',
    authTime: new Date().toISOString(),
  };
  return membership && stateOf(app, login, membership);
}

function stateOf(app: App, login: Login, membership: WithId<ProjectMembership>): AuthState | undefined {
  return membership.active === false
    ? undefined
    : { login, membership, project: app.system.readReferenceNow<Project>(membership.project) };
}

/** @throws OperationOutcomeError 403 for who is no administrator, or names nobody of the project */
function addOnBehalfOf(app: App, auth: AuthState, who: string): void {
  if (!auth.membership.admin && !auth.project.superAdmin) {
    throw new OperationOutcomeError(forbidden);
  }
  const repo = repositoryFor(app, auth, { extended: true });
  const membership = who.startsWith('ProjectMembership/')
    ? repo.readReferenceNow<ProjectMembership>({ reference: who })
    : membershipOf(app, auth.project.id, who);
  if (!membership) {
    throw new OperationOutcomeError(forbidden);
  }
  auth.onBehalfOf = createReference(repo.readReferenceNow<Resource>(membership.profile));
  auth.onBehalfOfMembership = membership;
}

function quotaFor(app: App, auth: AuthState): FhirQuota {
  const setting = (name: string) => auth.project.systemSetting?.find((s) => s.name === name);
  return app.limits.quota(auth.membership.id, auth.project.id, {
    user: setting('userFhirQuota')?.valueInteger,
    project: setting('totalFhirQuota')?.valueInteger,
    enforced: setting('enableFhirQuota')?.valueBoolean !== false,
  });
}

/** The repository with the rights of a login. */
export function repositoryFor(
  app: App,
  auth: AuthState,
  options: { extended?: boolean; quota?: FhirQuota } = {}
): Repository {
  const membership = auth.onBehalfOfMembership ?? auth.membership;
  const { project } = auth;
  const profile = app.system.tryRead(auth.membership.profile.reference);
  if (profile instanceof Error && !isNotFound(normalizeOperationOutcome(profile))) {
    throw profile; // A profile that was deleted shuts its user out; one that never was does not.
  }
  const context: RepositoryContext = {
    projects: [project, ...linkedProjects(app, project)],
    author: profile instanceof Error ? auth.membership.profile : createReference(profile),
    remoteAddress: auth.login.remoteAddress,
    superAdmin: project.superAdmin,
    projectAdmin: membership.admin,
    accessPolicy: effectivePolicy(app, auth),
    strictMode: project.strictMode,
    extendedMode: options.extended,
    checkReferencesOnWrite: project.checkReferencesOnWrite,
    onBehalfOf: auth.onBehalfOf,
    quota: options.quota,
  };
  return new Repository(app, context);
}

function linkedProjects(app: App, project: Project): WithId<Project>[] {
  return (project.link ?? []).flatMap((link) => {
    const linked = app.system.tryRead(link.project?.reference);
    return linked instanceof Error ? [] : [linked as WithId<Project>];
  });
}
