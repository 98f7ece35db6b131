/** Logins: a resource each, from password to token. */
import type { WithId } from '@medplum/core';
import { badRequest, createReference, notFound, OperationOutcomeError, resolveId } from '@medplum/core';
import type { AccessPolicy, ClientApplication, Login, Project, ProjectMembership, User } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { accessPolicyFor } from './accessPolicy.ts';
import { findAll, userByEmail } from './directory.ts';
import { isPassword } from './passwords.ts';
import { newSecret } from './signer.ts';

export interface LoginRequest {
  readonly email?: string;
  readonly password?: string;
  readonly scope: string;
  readonly nonce: string;
  readonly resourceType?: string;
  readonly projectId?: string;
  readonly clientId?: string;
  readonly codeChallenge?: string;
  readonly codeChallengeMethod?: string;
  readonly remoteAddress?: string;
  readonly userAgent?: string;
  readonly remember?: boolean;
  readonly allowNoMembership?: boolean;
}

function refuse(message: string, expression?: string): never {
  throw new OperationOutcomeError(badRequest(message, expression));
}

/** @throws OperationOutcomeError 404 */
export function readClient(app: App, id: string): WithId<ClientApplication> {
  return app.system.readNow<ClientApplication>('ClientApplication', id);
}

/** Checks the password and opens a login; with one membership its profile is chosen at once. */
export async function openLogin(app: App, request: LoginRequest): Promise<WithId<Login>> {
  const client = request.clientId ? readClient(app, request.clientId) : undefined;
  if (!client?.pkceOptional) {
    checkChallenge(request);
  }
  const user = userByEmail(app, request.email as string, request.projectId);
  if (!user) {
    return refuse('User not found');
  }
  if (!request.password || !user.passwordHash) {
    return refuse('Invalid authentication method');
  }
  if (!(await isPassword(request.password, user.passwordHash))) {
    return refuse('Email or password is invalid');
  }
  const scopes = request.scope.split(' ');
  const refresh = request.remember || scopes.includes('offline') || scopes.includes('offline_access');
  const login = await app.system.createResource<Login>({
    resourceType: 'Login',
    client: client && createReference(client),
    project: request.projectId ? { reference: `Project/${request.projectId}` } : undefined,
    profileType: request.resourceType as Login['profileType'],
    user: createReference(user),
    authMethod: 'password',
    authTime: new Date().toISOString(),
    code: newSecret(16),
    cookie: newSecret(16),
    refreshSecret: refresh ? newSecret(32) : undefined,
    scope: request.scope,
    nonce: request.nonce,
    codeChallenge: request.codeChallenge,
    codeChallengeMethod: request.codeChallengeMethod as Login['codeChallengeMethod'],
    remoteAddress: request.remoteAddress,
    userAgent: request.userAgent,
  });
  const memberships = membershipsFor(app, login);
  if (memberships.length === 0 && !request.allowNoMembership) {
    return refuse('User not found');
  }
  return memberships.length === 1 ? chooseMembership(app, login, memberships[0]?.id as string) : login;
}

function checkChallenge({ codeChallenge, codeChallengeMethod }: LoginRequest): void {
  if (!codeChallenge && codeChallengeMethod) {
    refuse('Invalid code challenge', 'code_challenge');
  }
  if (codeChallenge && codeChallengeMethod !== 'plain' && codeChallengeMethod !== 'S256') {
    refuse('Invalid code challenge method', 'code_challenge_method');
  }
}

export function membershipsFor(app: App, login: Login): WithId<ProjectMembership>[] {
  const user = login.user?.reference;
  if (login.project?.reference === 'Project/new' || !user) {
    return [];
  }
  const query = { user, ...(login.project?.reference ? { project: login.project.reference } : {}) };
  const found = findAll<ProjectMembership>(app, 'ProjectMembership', query, 100);
  const type = login.profileType;
  return type ? found.filter((m) => m.profile?.reference?.startsWith(type)) : found;
}

export async function chooseMembership(app: App, login: WithId<Login>, membershipId: string): Promise<WithId<Login>> {
  checkOpen(login);
  if (login.membership) {
    return refuse('Login profile already set');
  }
  let membership: WithId<ProjectMembership>;
  try {
    membership = app.system.readNow('ProjectMembership', membershipId);
  } catch {
    return refuse('Profile not found');
  }
  if (membership.user?.reference !== login.user?.reference) {
    return refuse('Invalid profile');
  }
  if (membership.active === false) {
    return refuse('Profile not active');
  }
  const project = app.system.readReferenceNow<Project>(membership.project);
  if (project.features?.includes('google-auth-required')) {
    return refuse('Google authentication is required');
  }
  checkAddress(login, accessPolicyFor(app, { project, login, membership }));
  return app.system.updateResource<Login>({
    ...login,
    membership: createReference(membership),
    // A super admin gets no refresh token.
    refreshSecret: project.superAdmin ? undefined : login.refreshSecret,
  } as WithId<Login>);
}

/** @throws OperationOutcomeError 400 for a login that is revoked or used */
export function checkOpen(login: Login): void {
  if (login.revoked) {
    refuse('Login revoked');
  }
  if (login.granted) {
    refuse('Login granted');
  }
}

export function checkAddress(login: Login, policy: AccessPolicy): void {
  const address = login.remoteAddress;
  const rule = address
    ? policy.ipAccessRule?.find((r) => r.value === '*' || address.startsWith(r.value as string))
    : undefined;
  if (rule?.action === 'block') {
    refuse('IP address not allowed');
  }
}

/** @throws OperationOutcomeError 404 when the id is none */
export function readLogin(app: App, id: unknown): WithId<Login> {
  if (typeof id !== 'string') {
    throw new OperationOutcomeError(notFound);
  }
  return app.system.readNow<Login>('Login', id);
}

export async function revokeLogin(app: App, login: Login): Promise<void> {
  if (login.id) {
    await app.system.updateResource<Login>({ ...login, revoked: true });
  }
}

export interface Tokens {
  readonly idToken: string;
  readonly accessToken: string;
  readonly refreshToken?: string;
}

const LIFETIME = '1h';
const REFRESH_LIFETIME = '2w';

/** Marks the login as granted and signs its tokens. */
export async function grantTokens(
  app: App,
  login: WithId<Login>,
  user: WithId<User> | WithId<ClientApplication>,
  membership: ProjectMembership,
  client?: ClientApplication
): Promise<Tokens> {
  if (!login.granted) {
    await app.system.updateResource<Login>({ ...login, granted: true });
  }
  const email = login.scope?.includes('email') && user.resourceType === 'User' ? user.email : undefined;
  const shared = { client_id: login.client && resolveId(login.client), login_id: login.id };
  const profile = membership.profile.reference;
  return {
    idToken: app.signer.token(
      { ...shared, fhirUser: profile, email, sub: user.id, nonce: login.nonce, auth_time: Date.parse(login.authTime) / 1000 },
      LIFETIME
    ),
    accessToken: app.signer.token(
      { ...shared, sub: user.id, username: user.id, scope: login.scope, profile, email },
      client?.accessTokenLifetime ?? LIFETIME
    ),
    refreshToken: login.refreshSecret
      ? app.signer.token({ ...shared, refresh_secret: login.refreshSecret }, client?.refreshTokenLifetime ?? REFRESH_LIFETIME)
      : undefined,
  };
}
