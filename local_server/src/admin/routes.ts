/** /admin: what project administrators and the super admin do outside of FHIR. */
import { allOk, badRequest, forbidden, OperationOutcomeError } from '@medplum/core';
import type { Project, ProjectMembership, User } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { userByEmail, userInProject, findAll } from '../auth/directory.ts';
import { EMAIL_RULE, PASSWORD_RULE } from '../auth/login.ts';
import { hashPassword } from '../auth/passwords.ts';
import { createBot } from '../bots/deploy.ts';
import { checkFields, isNotEmpty } from '../http/fields.ts';
import type { Exchange, Handler } from '../http/exchange.ts';
import { sendJson, sendOutcome } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { createClient } from './clients.ts';
import { invite } from './invite.ts';

export function addAdminRoutes(routes: Routes): void {
  const administered = (handler: Handler): Handler => (x) => {
    x.administrator();
    return handler(x);
  };
  routes
    .add('POST', '/admin/super/setpassword', setAnyPassword)
    .add('POST', '/admin/projects/setpassword', administered(setPassword))
    .add('POST', '/admin/projects/:projectId/bot', administered(addBot))
    .add('POST', '/admin/projects/:projectId/client', administered(addClient))
    .add('POST', '/admin/projects/:projectId/invite', administered(invite))
    .add('GET', '/admin/projects/:projectId', administered(showProject))
    .add('POST', '/admin/projects/:projectId/secrets', administered((x) => setField(x, 'secret')))
    .add('POST', '/admin/projects/:projectId/sites', administered((x) => setField(x, 'site')))
    .add('GET', '/admin/projects/:projectId/members/:membershipId', administered(showMember))
    .add('POST', '/admin/projects/:projectId/members/:membershipId', administered(setMember))
    .add('DELETE', '/admin/projects/:projectId/members/:membershipId', administered(removeMember));
}

async function keepPassword(app: App, user: User | undefined, password: string): Promise<void> {
  if (!user) {
    throw new OperationOutcomeError(badRequest('User not found'));
  }
  await app.system.updateResource<User>({ ...user, passwordHash: await hashPassword(password) });
}

async function setAnyPassword(x: Exchange): Promise<void> {
  x.superAdministrator();
  checkFields(x.body, [EMAIL_RULE, PASSWORD_RULE]);
  await keepPassword(x.app, userByEmail(x.app, x.body.email, x.body.projectId), x.body.password);
  sendOutcome(x, allOk);
}

async function setPassword(x: Exchange): Promise<void> {
  checkFields(x.body, [EMAIL_RULE, PASSWORD_RULE]);
  const user = userInProject(x.app, x.body.email, x.authenticated().project.id);
  await keepPassword(x.app, user, x.body.password);
  sendOutcome(x, allOk);
}

/** The project in the path is ignored: the token's project decides. */
async function addBot(x: Exchange): Promise<void> {
  checkFields(x.body, [{ field: 'name', is: isNotEmpty, message: 'Bot name is required' }]);
  sendJson(x, 201, await createBot(x, x.body));
}

async function addClient(x: Exchange): Promise<void> {
  checkFields(x.body, [{ field: 'name', is: isNotEmpty, message: 'Client name is required' }]);
  const { repo, project } = x.authenticated();
  const { name, description, redirectUri, redirectUris, accessPolicy, accessTokenLifetime, refreshTokenLifetime } = x.body;
  const client = await createClient(x.app, {
    projectId: project.superAdmin ? (x.params.projectId as string) : project.id,
    author: repo.context.author,
    name,
    description,
    redirectUri,
    redirectUris,
    accessPolicy,
    accessTokenLifetime,
    refreshTokenLifetime,
  });
  sendJson(x, 201, client);
}

function showProject(x: Exchange): void {
  const { id, name, secret, site } = x.authenticated().project;
  sendJson(x, 200, { project: { id, name, secret, site } });
}

/** Replaces a whole list of the project: nothing of the old one stays. */
async function setField(x: Exchange, field: 'secret' | 'site'): Promise<void> {
  const { repo, project } = x.authenticated();
  sendJson(x, 200, await repo.updateResource<Project>({ ...project, [field]: x.body }));
}

async function member(x: Exchange): Promise<ProjectMembership> {
  const { repo, project } = x.authenticated();
  const found = await repo.readResource<ProjectMembership>('ProjectMembership', x.params.membershipId as string);
  if (found.project?.reference !== `Project/${project.id}`) {
    throw new OperationOutcomeError(forbidden);
  }
  return found;
}

async function showMember(x: Exchange): Promise<void> {
  sendJson(x, 200, await member(x));
}

async function setMember(x: Exchange): Promise<void> {
  const { id } = await member(x);
  if (x.body?.resourceType !== 'ProjectMembership' || x.body.id !== id) {
    throw new OperationOutcomeError(forbidden);
  }
  sendJson(x, 200, await x.authenticated().repo.updateResource<ProjectMembership>(x.body));
}

async function removeMember(x: Exchange): Promise<void> {
  const { project } = x.authenticated();
  const found = await member(x);
  if (project.owner?.reference === found.user?.reference) {
    throw new OperationOutcomeError(badRequest('Cannot delete the owner of the project'));
  }
  const { system } = x.app;
  const user = system.tryRead(found.user?.reference) as User | Error;
  await system.deleteResource('ProjectMembership', found.id as string);
  if (!(user instanceof Error) && user.project?.reference === `Project/${project.id}`) {
    const others = findAll<ProjectMembership>(x.app, 'ProjectMembership', { user: `User/${user.id}` });
    if (others.length === 0) {
      await system.deleteResource('User', user.id as string);
    }
  }
  sendOutcome(x, allOk);
}
