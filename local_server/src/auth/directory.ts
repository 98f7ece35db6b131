/** Finds users, memberships and clients, as the server itself. */
import type { WithId } from '@medplum/core';
import type { ClientApplication, ProjectMembership, Resource, User } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { search } from '../fhir/search.ts';

type Query = Record<string, string>;

/** All resources whose search parameters equal the values; `code:modifier` works too. */
export function findAll<T extends Resource>(app: App, type: T['resourceType'], query: Query, count = 1000): WithId<T>[] {
  const filters = Object.entries(query).map(([name, value]) => {
    const [code = '', operator = 'eq'] = name.split(':');
    return { code, operator: operator as 'eq', value };
  });
  const bundle = search<T>(app.system, { resourceType: type, filters, count });
  return (bundle.entry ?? []).map((e) => e.resource as WithId<T>);
}

/** A user of the project if there is one of that address, else one who belongs to no project. */
export function userByEmail(app: App, email: string, projectId?: string): WithId<User> | undefined {
  return (projectId && projectId !== 'new' && userInProject(app, email, projectId)) || userWithoutProject(app, email);
}

export function userInProject(app: App, email: string, projectId: string): WithId<User> | undefined {
  return findAll<User>(app, 'User', { 'email:exact': email.toLowerCase(), project: `Project/${projectId}` }, 1)[0];
}

export function userWithoutProject(app: App, email: string): WithId<User> | undefined {
  return findAll<User>(app, 'User', { 'email:exact': email.toLowerCase(), 'project:missing': 'true' }, 1)[0];
}

/** The membership through which a profile (a person, a bot, a client) works in a project. */
export function membershipOf(app: App, projectId: string, profile: string): WithId<ProjectMembership> | undefined {
  return findAll<ProjectMembership>(app, 'ProjectMembership', { project: `Project/${projectId}`, profile }, 1)[0];
}

export function clientMembership(app: App, client: WithId<ClientApplication>): WithId<ProjectMembership> | undefined {
  return findAll<ProjectMembership>(app, 'ProjectMembership', { user: `ClientApplication/${client.id}` }, 1)[0];
}
