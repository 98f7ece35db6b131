/** Makes what the configuration names and the data folder lacks. Nothing that exists is changed. */
import type { WithId } from '@medplum/core';
import { createReference } from '@medplum/core';
import type { Practitioner, Project, ProjectMembership, User } from '@medplum/fhirtypes';
import { createClient } from './admin/clients.ts';
import type { App } from './app.ts';
import { findAll, userWithoutProject } from './auth/directory.ts';
import { hashPassword } from './auth/passwords.ts';
import type { Account, ProjectConfig } from './config.ts';
import { R4_PROJECT_ID } from './fhir/context.ts';
import { addOwner, createProject } from './fhir/operations/projectInit.ts';

export async function seed(app: App): Promise<void> {
  await seedSuperAdmin(app);
  for (const project of app.config.projects) {
    await seedProject(app, project);
  }
}

async function seedUser(app: App, account: Account, firstName: string, lastName: string): Promise<WithId<User>> {
  return (
    userWithoutProject(app, account.email) ??
    app.system.createResource<User>({
      resourceType: 'User',
      firstName: account.firstName ?? firstName,
      lastName: account.lastName ?? lastName,
      email: account.email.toLowerCase(),
      passwordHash: await hashPassword(account.password),
    })
  );
}

/** As the real server seeds it: a project without features, so that no bot runs in it. */
async function seedSuperAdmin(app: App): Promise<void> {
  const known = app.database.setting('superAdminProject');
  if (known && app.store.get('Project', known)) {
    return;
  }
  const user = await seedUser(app, app.config.superAdmin, 'Medplum', 'Admin');
  const project = await app.system.createResource<Project>({
    resourceType: 'Project',
    name: 'Super Admin',
    owner: createReference(user),
    superAdmin: true,
    strictMode: true,
  });
  await app.system.updateResource<Project>({ resourceType: 'Project', id: R4_PROJECT_ID, name: 'FHIR R4' });
  const profile = await app.system.createResource<Practitioner>({
    resourceType: 'Practitioner',
    meta: { project: project.id },
    name: [{ given: [user.firstName], family: user.lastName }],
    telecom: [{ system: 'email', use: 'work', value: user.email }],
  });
  await app.system.createResource<ProjectMembership>({
    resourceType: 'ProjectMembership',
    project: createReference(project),
    user: createReference(user),
    profile: createReference(profile),
    admin: true,
  });
  app.database.keep('superAdminProject', project.id);
}

async function seedProject(app: App, config: ProjectConfig): Promise<void> {
  const owner = await seedUser(app, config.owner, config.name, 'Admin');
  const key = `project:${config.name}`;
  const known = app.database.setting(key);
  const entry = known ? app.store.get('Project', known) : undefined;
  if (!known || !entry || entry.deleted) {
    const { project } = await createProject(app, {
      name: config.name,
      owner,
      features: config.features,
      client: config.client,
    });
    app.database.keep(key, project.id);
    return;
  }
  const project = app.system.readNow<Project>('Project', known);
  const members = findAll<ProjectMembership>(app, 'ProjectMembership', { project: `Project/${known}` });
  if (!members.some((m) => m.user?.reference === `User/${owner.id}`)) {
    await addOwner(app, project, owner);
  }
  if (!members.some((m) => m.user?.reference?.startsWith('ClientApplication/'))) {
    await createClient(app, {
      projectId: known,
      name: `${config.name} Default Client`,
      description: `Default client for ${config.name}`,
      ...config.client,
    });
  }
}
