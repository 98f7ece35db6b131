/** /auth/me, logout, user info, and the addresses that OAuth clients look up. */
import { allOk, formatFamilyName, formatGivenName, formatHumanName, resolveId } from '@medplum/core';
import type { HumanName, Login, Project, ProjectMembership, Resource, User, UserConfiguration, UserConfigurationMenu } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { withPresignedUrls } from '../fhir/attachments.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendJson, sendOutcome } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { accessPolicyFor } from './accessPolicy.ts';
import { findAll } from './directory.ts';
import { revokeLogin } from './logins.ts';
import { token } from './token.ts';

export function addSessionRoutes(routes: Routes): void {
  routes
    .add('GET', '/auth/me', me)
    .add('POST', '/oauth2/token', token)
    .add('GET', '/oauth2/logout', logout)
    .add('POST', '/oauth2/logout', logout)
    .add('GET', '/oauth2/userinfo', userInfo)
    .add('POST', '/oauth2/userinfo', userInfo)
    .add('GET', '/.well-known/jwks.json', (x) => sendJson(x, 200, x.app.signer.keySet()))
    .add('GET', '/.well-known/openid-configuration', (x) => sendJson(x, 200, discovery(x.app)))
    .add('GET', '/.well-known/oauth-authorization-server', (x) => sendJson(x, 200, discovery(x.app)));
}

function me(x: Exchange): void {
  const { auth, project } = x.authenticated();
  const { membership } = auth;
  const { system } = x.app;
  const isUser = membership.user?.reference?.startsWith('User/');
  const user = isUser ? system.readReferenceNow<User>(membership.user as { reference: string }) : undefined;
  const answer = {
    user: user && { resourceType: 'User', id: user.id, email: user.email, identifier: user.identifier },
    project: {
      resourceType: 'Project',
      id: project.id,
      name: project.name,
      description: project.description,
      strictMode: project.strictMode,
      superAdmin: project.superAdmin,
    },
    membership: shown(membership, membership.user),
    profile: system.readReferenceNow<Resource>(membership.profile),
    config: configuration(x.app, project, membership),
    accessPolicy: accessPolicyFor(x.app, auth),
    security: user && {
      mfaEnrolled: Boolean(user.mfaEnrolled),
      sessions: sessions(x.app, user),
      memberships: findAll<ProjectMembership>(x.app, 'ProjectMembership', {
        user: `User/${user.id}`,
        project: `Project/${project.id}`,
      })
        .filter((m) => m.active !== false)
        .map((m) => shown(m)),
    },
  };
  sendJson(x, 200, withPresignedUrls(x.app.system, answer));
}

function shown(membership: ProjectMembership, user?: ProjectMembership['user']): object {
  const { id, identifier, profile, admin } = membership;
  return { resourceType: 'ProjectMembership', id, identifier, user, profile, admin };
}

function sessions(app: App, user: User): object[] {
  const since = new Date(Date.now() - 3600_000).toISOString();
  return findAll<Login>(app, 'Login', { user: `User/${user.id}`, '_lastUpdated:gt': since }, 20)
    .filter((login) => login.membership && !login.revoked)
    .map((login) => ({
      id: login.id,
      lastUpdated: login.meta?.lastUpdated,
      authMethod: login.authMethod,
      remoteAddress: login.remoteAddress,
    }));
}

function configuration(app: App, project: Project, membership: ProjectMembership): UserConfiguration {
  const own = membership.userConfiguration
    ? app.system.readReferenceNow<UserConfiguration>(membership.userConfiguration)
    : ({ resourceType: 'UserConfiguration' } as UserConfiguration);
  const menu = defaultMenu(project, membership);
  return { ...own, menu: own.menu ?? menu };
}

const FAVORITES = ['Patient', 'Practitioner', 'Organization', 'ServiceRequest', 'DiagnosticReport', 'Questionnaire'];

function defaultMenu(project: Project, membership: ProjectMembership): UserConfigurationMenu[] {
  const menu = [{ title: 'Favorites', link: FAVORITES.map((name) => ({ name, target: `/${name}` })) }];
  if (membership.admin) {
    const link = [
      { name: 'Project', target: '/admin/project' },
      { name: 'AccessPolicy', target: '/AccessPolicy' },
      { name: 'Subscriptions', target: '/Subscription' },
      { name: 'Batch', target: '/batch' },
      ...(project.superAdmin ? [] : [{ name: 'Config', target: '/admin/config' }]),
    ];
    menu.push({ title: 'Admin', link });
  }
  if (project.superAdmin) {
    const link = [
      { name: 'Projects', target: '/Project' },
      { name: 'Super Config', target: '/admin/super' },
      { name: 'Super AsyncJob', target: '/admin/super/asyncjob' },
      { name: 'Super DB', target: '/admin/super/db' },
    ];
    menu.push({ title: 'Super Admin', link });
  }
  return menu;
}

async function logout(x: Exchange): Promise<void> {
  const { auth } = x.authenticated();
  await revokeLogin(x.app, auth.login);
  sendOutcome(x, allOk);
}

async function userInfo(x: Exchange): Promise<void> {
  const { auth, repo, membership } = x.authenticated();
  const profile = (await repo.readReference<Resource>(membership.profile)) as Resource & { name?: HumanName[] | string };
  const scopes = auth.login.scope?.split(' ') ?? [];
  const info: Record<string, unknown> = { sub: profile.id };
  if (scopes.includes('profile')) {
    const name = Array.isArray(profile.name) ? profile.name[0] : undefined;
    info.profile = `${profile.resourceType}/${profile.id}`;
    info.locale = 'en-US';
    Object.assign(info, name && {
      name: formatHumanName(name),
      given_name: formatGivenName(name),
      family_name: formatFamilyName(name),
    });
  }
  if (scopes.includes('email') && auth.login.user?.reference?.startsWith('User/')) {
    const user = x.app.system.readNow<User>('User', resolveId(auth.login.user) as string);
    info.email = user.email;
    info.email_verified = Boolean(user.emailVerified);
  }
  sendJson(x, 200, info);
}

function discovery(app: App): object {
  const at = (path: string): string => `${app.baseUrl}${path}`;
  return {
    issuer: app.baseUrl,
    authorization_endpoint: at('oauth2/authorize'),
    token_endpoint: at('oauth2/token'),
    userinfo_endpoint: at('oauth2/userinfo'),
    jwks_uri: at('.well-known/jwks.json'),
    id_token_signing_alg_values_supported: ['ES256'],
    grant_types_supported: ['client_credentials', 'authorization_code', 'refresh_token'],
    response_types_supported: ['code'],
    subject_types_supported: ['pairwise', 'public'],
    scopes_supported: ['openid', 'profile', 'email'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    code_challenge_methods_supported: ['S256', 'plain'],
  };
}
