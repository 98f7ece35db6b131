/** /oauth2/token: authorization code with PKCE, refresh with rotation, client credentials. */
import type { WithId } from '@medplum/core';
import { ContentType, createReference, normalizeErrorString, resolveId } from '@medplum/core';
import type { ClientApplication, Login, Project, ProjectMembership, User } from '@medplum/fhirtypes';
import { createHash } from 'node:crypto';
import type { Exchange } from '../http/exchange.ts';
import { sendJson, sendText } from '../http/reply.ts';
import { accessPolicyFor } from './accessPolicy.ts';
import { clientMembership, findAll } from './directory.ts';
import { checkAddress, grantTokens, readClient, readLogin, revokeLogin } from './logins.ts';
import { newSecret, sameText } from './signer.ts';

/** An error that the token endpoint answers in OAuth's form. */
class TokenError extends Error {
  constructor(
    readonly code: 'invalid_request' | 'invalid_grant',
    description: string
  ) {
    super(description);
  }
}

interface Credentials {
  readonly clientId?: string;
  readonly clientSecret?: string;
}

export async function token(x: Exchange): Promise<void> {
  if (x.mediaType !== ContentType.FORM_URL_ENCODED) {
    sendText(x, 400, 'Unsupported content type');
    return;
  }
  try {
    await grant(x);
  } catch (err) {
    if (!(err instanceof TokenError)) {
      throw err;
    }
    sendJson(x, 400, { error: err.code, error_description: err.message });
  }
}

function grant(x: Exchange): Promise<void> {
  switch (x.body.grant_type as string | undefined) {
    case undefined:
    case '':
      throw new TokenError('invalid_request', 'Missing grant_type');
    case 'client_credentials':
      return clientCredentials(x);
    case 'authorization_code':
      return authorizationCode(x);
    case 'refresh_token':
      return refresh(x);
    default:
      throw new TokenError('invalid_request', 'Unsupported grant_type');
  }
}

function credentials(x: Exchange): Credentials {
  const header = x.header('authorization');
  if (!header) {
    return { clientId: x.body.client_id, clientSecret: x.body.client_secret };
  }
  if (!header.startsWith('Basic ')) {
    throw new TokenError('invalid_request', 'Invalid authorization header');
  }
  const [clientId, clientSecret] = Buffer.from(header.slice('Basic '.length), 'base64').toString('latin1').split(':');
  return { clientId, clientSecret };
}

function findClient(x: Exchange, id: string): WithId<ClientApplication> {
  try {
    return readClient(x.app, id);
  } catch {
    throw new TokenError('invalid_request', 'Invalid client');
  }
}

function checkSecret(client: ClientApplication, secret: string): void {
  if (!client.secret) {
    throw new TokenError('invalid_request', 'Invalid client');
  }
  const matches = [client.secret, client.retiringSecret].map((kept) => sameText(kept, secret));
  if (!matches.includes(true)) {
    throw new TokenError('invalid_request', 'Invalid secret');
  }
}

async function clientCredentials(x: Exchange): Promise<void> {
  const { clientId, clientSecret } = credentials(x);
  if (!clientId) {
    throw new TokenError('invalid_request', 'Missing client_id');
  }
  if (!clientSecret) {
    throw new TokenError('invalid_request', 'Missing client_secret');
  }
  const client = findClient(x, clientId);
  if (client.status && client.status !== 'active') {
    throw new TokenError('invalid_request', 'Invalid client');
  }
  checkSecret(client, clientSecret);
  const membership = clientMembership(x.app, client);
  if (!membership) {
    throw new TokenError('invalid_request', 'Invalid client');
  }
  const login = await x.app.system.createResource<Login>({
    resourceType: 'Login',
    authMethod: 'client',
    user: createReference(client),
    client: createReference(client),
    membership: createReference(membership),
    authTime: new Date().toISOString(),
    granted: true,
    scope: x.body.scope || 'openid',
    remoteAddress: x.ip,
    userAgent: x.header('user-agent'),
  });
  try {
    const project = x.app.system.readReferenceNow<Project>(membership.project);
    checkAddress(login, accessPolicyFor(x.app, { project, login, membership }));
  } catch (err) {
    throw new TokenError('invalid_request', normalizeErrorString(err));
  }
  await sendTokens(x, login, client);
}

async function authorizationCode(x: Exchange): Promise<void> {
  const { clientId, clientSecret } = credentials(x);
  const code = x.body.code as string | undefined;
  if (!code) {
    throw new TokenError('invalid_request', 'Missing code');
  }
  const login = findAll<Login>(x.app, 'Login', { code }, 1)[0];
  if (!login) {
    throw new TokenError('invalid_request', 'Invalid code');
  }
  if (clientId && login.client?.reference !== `ClientApplication/${clientId}`) {
    throw new TokenError('invalid_request', 'Invalid client');
  }
  if (!login.membership) {
    throw new TokenError('invalid_request', 'Invalid profile');
  }
  if (login.granted) {
    await revokeLogin(x.app, login);
    throw new TokenError('invalid_grant', 'Token already granted');
  }
  if (login.revoked) {
    throw new TokenError('invalid_grant', 'Token revoked');
  }
  const id = clientId ?? (login.client && resolveId(login.client));
  const client = id ? findClient(x, id) : undefined;
  if (!client?.pkceOptional) {
    checkVerifier(login, x.body.code_verifier);
  } else if (clientSecret) {
    checkSecret(client, clientSecret);
  }
  await sendTokens(x, login, client);
}

function checkVerifier(login: Login, verifier: string | undefined): void {
  const challenge = login.codeChallenge;
  if (!challenge) {
    throw new TokenError('invalid_request', 'Missing verification context');
  }
  if (!verifier) {
    throw new TokenError('invalid_request', 'Missing code verifier');
  }
  const shown =
    login.codeChallengeMethod === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier;
  if (shown !== challenge) {
    throw new TokenError('invalid_request', 'Invalid code verifier');
  }
}

async function refresh(x: Exchange): Promise<void> {
  const claims = x.app.signer.claims(String(x.body.refresh_token ?? ''));
  if (!claims) {
    throw new TokenError('invalid_request', 'Invalid refresh token');
  }
  const login = readLogin(x.app, claims.login_id);
  if (login.refreshSecret === undefined || !claims.refresh_secret) {
    throw new TokenError('invalid_request', 'Invalid refresh token');
  }
  if (login.revoked) {
    throw new TokenError('invalid_grant', 'Token revoked');
  }
  if (!sameText(login.refreshSecret, claims.refresh_secret as string)) {
    throw new TokenError('invalid_request', 'Invalid token');
  }
  checkRefreshClient(x, login);
  const client = login.client ? findClient(x, resolveId(login.client) ?? '') : undefined;
  const rotated = await x.app.system.updateResource<Login>({
    ...login,
    refreshSecret: newSecret(32),
    remoteAddress: x.ip,
    userAgent: x.header('user-agent'),
  });
  await sendTokens(x, rotated as WithId<Login>, client);
}

function checkRefreshClient(x: Exchange, login: Login): void {
  if (!x.header('authorization')) {
    return;
  }
  const { clientId, clientSecret } = credentials(x);
  if (clientId !== resolveId(login.client)) {
    throw new TokenError('invalid_grant', 'Incorrect client');
  }
  if (!clientSecret) {
    throw new TokenError('invalid_grant', 'Incorrect client secret');
  }
}

async function sendTokens(x: Exchange, login: WithId<Login>, client?: ClientApplication): Promise<void> {
  const { app } = x;
  const user = app.system.readReferenceNow<User>(login.user as { reference: string });
  const membership = app.system.readReferenceNow<ProjectMembership>(login.membership as { reference: string });
  const tokens = await grantTokens(app, login, user, membership, client);
  const { exp = 0, iat = 0 } = app.signer.claims(tokens.accessToken) as { exp?: number; iat?: number };
  const profile = membership.profile.reference;
  const patient = profile?.startsWith('Patient/') ? profile.slice('Patient/'.length) : undefined;
  sendJson(x, 200, {
    token_type: 'Bearer',
    expires_in: exp - iat,
    scope: login.scope,
    id_token: tokens.idToken,
    access_token: tokens.accessToken,
    refresh_token: tokens.refreshToken,
    project: membership.project,
    profile: membership.profile,
    patient,
    smart_style_url: `${app.baseUrl}fhir/R4/.well-known/smart-styles.json`,
    need_patient_banner: Boolean(patient),
  });
}
