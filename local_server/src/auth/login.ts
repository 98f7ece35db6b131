/** /auth/login and the steps that may follow it: choice of profile, second factor. */
import { allOk, badRequest, notFound, OperationOutcomeError } from '@medplum/core';
import type { Login, User } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';
import { toDataURL } from 'qrcode';
import type { App } from '../app.ts';
import { checkFields, hasLength, isEmail, isNotEmpty, isPresent } from '../http/fields.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendJson, sendOutcome } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { chooseMembership, checkOpen, membershipsFor, openLogin, readClient, readLogin, revokeLogin } from './logins.ts';
import { isTotp, newTotpSecret, totpUri } from './totp.ts';

export const PASSWORD_RULE = {
  field: 'password',
  is: hasLength(8),
  message: 'Invalid password, must be at least 8 characters',
};
export const EMAIL_RULE = { field: 'email', is: isEmail, message: 'Valid email address is required' };

const LOGIN_RULE = { field: 'login', is: isNotEmpty, message: 'Missing login' };
const TOKEN_RULE = { field: 'token', is: isNotEmpty, message: 'Missing token' };

export function addLoginRoutes(routes: Routes): void {
  routes
    .add('POST', '/auth/login', login)
    .add('GET', '/auth/login/:login', status)
    .add('POST', '/auth/profile', profile)
    .add('POST', '/auth/mfa/verify', verify)
    .add('POST', '/auth/mfa/login-enroll', enrollAtLogin)
    .add('GET', '/auth/mfa/status', mfaStatus)
    .add('POST', '/auth/mfa/enroll', enroll)
    .add('POST', '/auth/mfa/disable', disable)
    .add('POST', '/auth/revoke', revoke);
}

async function login(x: Exchange): Promise<void> {
  const { app, body } = x;
  checkFields(body, [EMAIL_RULE, PASSWORD_RULE]);
  let projectId = body.projectId as string | undefined;
  if (body.clientId) {
    const own = readClient(app, body.clientId).meta?.project;
    if (projectId !== undefined && projectId !== own) {
      throw new OperationOutcomeError(badRequest('Invalid projectId'));
    }
    projectId = own;
  }
  const opened = await openLogin(app, {
    email: body.email,
    password: body.password,
    clientId: body.clientId,
    projectId,
    resourceType: body.resourceType,
    scope: body.scope || 'openid',
    nonce: body.nonce || randomUUID(),
    codeChallenge: body.codeChallenge,
    codeChallengeMethod: body.codeChallengeMethod,
    remember: body.remember,
    remoteAddress: x.ip,
    userAgent: x.header('user-agent'),
    allowNoMembership: body.projectId === 'new',
  });
  await sendLogin(x, opened);
}

/** What comes next: enrolment, second factor, choice of profile, or the code. */
export async function sendLogin(x: Exchange, login: Login): Promise<void> {
  const { app } = x;
  const user = app.system.readReferenceNow<User>(login.user as { reference: string });
  const needsFactor = login.authMethod === 'password' && !login.mfaVerified;
  if (user.mfaRequired && !user.mfaEnrolled && needsFactor) {
    const enrollUri = totpUri(accountName(user), user.mfaSecret as string);
    sendJson(x, 200, { login: login.id, mfaEnrollRequired: true, enrollUri, enrollQrCode: await toDataURL(enrollUri) });
  } else if (user.mfaEnrolled && needsFactor) {
    sendJson(x, 200, { login: login.id, mfaRequired: true });
  } else if (login.project?.reference === 'Project/new') {
    sendJson(x, 200, { login: login.id });
  } else if (login.membership) {
    sendJson(x, 200, { login: login.id, code: login.code });
  } else {
    const memberships = membershipsFor(app, login).map(({ id, project, profile, identifier }) => ({ id, project, profile, identifier }));
    sendJson(x, 200, { login: login.id, memberships });
  }
}

function accountName(user: User): string {
  return `Medplum - ${user.email}`;
}

async function status(x: Exchange): Promise<void> {
  const found = readLogin(x.app, x.params.login);
  if (found.granted || found.revoked) {
    throw new OperationOutcomeError(badRequest(found.granted ? 'Login already granted' : 'Login revoked'));
  }
  await sendLogin(x, found);
}

async function profile(x: Exchange): Promise<void> {
  checkFields(x.body, [
    { field: 'login', is: isPresent, message: 'Missing login' },
    { field: 'profile', is: isPresent, message: 'Missing profile' },
  ]);
  const updated = await chooseMembership(x.app, readLogin(x.app, x.body.login), x.body.profile);
  sendJson(x, 200, { login: updated.id, code: updated.code });
}

async function verifyToken(app: App, login: Login, token: string): Promise<Login> {
  checkOpen(login);
  if (login.mfaVerified) {
    throw new OperationOutcomeError(badRequest('Login already verified'));
  }
  const user = app.system.readReferenceNow<User>(login.user as { reference: string });
  if (!user.mfaSecret) {
    throw new OperationOutcomeError(badRequest('User not enrolled in MFA'));
  }
  if (!isTotp(token, user.mfaSecret)) {
    throw new OperationOutcomeError(badRequest('Invalid MFA token'));
  }
  return app.system.updateResource<Login>({ ...login, mfaVerified: true });
}

async function verify(x: Exchange): Promise<void> {
  checkFields(x.body, [LOGIN_RULE, TOKEN_RULE]);
  await sendLogin(x, await verifyToken(x.app, readLogin(x.app, x.body.login), x.body.token));
}

async function enrollAtLogin(x: Exchange): Promise<void> {
  checkFields(x.body, [LOGIN_RULE, TOKEN_RULE]);
  const found = readLogin(x.app, x.body.login);
  const user = x.app.system.readReferenceNow<User>(found.user as { reference: string });
  checkEnrollable(user);
  const verified = await verifyToken(x.app, found, x.body.token);
  await x.app.system.updateResource<User>({ ...user, mfaEnrolled: true });
  await sendLogin(x, verified);
}

function checkEnrollable(user: User): void {
  if (user.mfaEnrolled) {
    throw new OperationOutcomeError(badRequest('Already enrolled'));
  }
  if (!user.mfaSecret) {
    throw new OperationOutcomeError(badRequest('Secret not found'));
  }
}

function currentUser(x: Exchange): User {
  return x.app.system.readReferenceNow<User>(x.authenticated().membership.user as { reference: string });
}

async function mfaStatus(x: Exchange): Promise<void> {
  let user = currentUser(x);
  if (user.mfaEnrolled) {
    sendJson(x, 200, { enrolled: true });
    return;
  }
  if (!user.mfaSecret) {
    user = await x.app.system.updateResource<User>({ ...user, mfaSecret: newTotpSecret() });
  }
  const enrollUri = totpUri(accountName(user), user.mfaSecret as string);
  sendJson(x, 200, { enrolled: false, enrollUri, enrollQrCode: await toDataURL(enrollUri) });
}

async function enroll(x: Exchange): Promise<void> {
  const user = currentUser(x);
  checkEnrollable(user);
  checkToken(user, x.body.token);
  await x.app.system.updateResource<User>({ ...user, mfaEnrolled: true });
  sendOutcome(x, allOk);
}

async function disable(x: Exchange): Promise<void> {
  const user = currentUser(x);
  if (!user.mfaSecret) {
    throw new OperationOutcomeError(badRequest('Secret not found'));
  }
  if (!user.mfaEnrolled) {
    throw new OperationOutcomeError(badRequest('User not enrolled in MFA'));
  }
  checkFields(x.body, [TOKEN_RULE]);
  checkToken(user, x.body.token);
  await x.app.system.updateResource<User>({ ...user, mfaEnrolled: false, mfaSecret: newTotpSecret() });
  sendOutcome(x, allOk);
}

function checkToken(user: User, token: string): void {
  if (!isTotp(token, user.mfaSecret as string)) {
    throw new OperationOutcomeError(badRequest('Invalid token'));
  }
}

async function revoke(x: Exchange): Promise<void> {
  const { membership } = x.authenticated();
  const found = readLogin(x.app, x.body.loginId);
  if (found.user?.reference !== membership.user?.reference) {
    throw new OperationOutcomeError(notFound);
  }
  await revokeLogin(x.app, found);
  sendOutcome(x, allOk);
}
