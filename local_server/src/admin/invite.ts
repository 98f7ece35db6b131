/** Invitations: a user, a profile and the membership that joins them in the project. No mail is sent from here. */
import type { WithId } from '@medplum/core';
import { allOk, badRequest, conflict, createReference, OperationOutcomeError } from '@medplum/core';
import type { AccessPolicy, Project, ProjectMembership, ProjectMembershipAccess, Reference, Resource, User } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { findAll, userInProject, userWithoutProject } from '../auth/directory.ts';
import { hashPassword } from '../auth/passwords.ts';
import { newSecret } from '../auth/signer.ts';
import { newTotpSecret } from '../auth/totp.ts';
import { createProfile } from '../fhir/operations/projectInit.ts';
import { checkFields, isEmail, isNotEmpty } from '../http/fields.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendFhir } from '../http/reply.ts';

interface Invitation {
  readonly resourceType: 'Practitioner' | 'Patient' | 'RelatedPerson';
  readonly firstName: string;
  readonly lastName: string;
  readonly email?: string;
  readonly externalId?: string;
  readonly password?: string;
  readonly scope?: 'project' | 'server';
  readonly mfaRequired?: boolean;
  readonly accessPolicy?: Reference<AccessPolicy>;
  readonly access?: ProjectMembershipAccess[];
  readonly admin?: boolean;
  readonly membership?: Partial<ProjectMembership>;
  readonly upsert?: boolean;
  readonly forceNewMembership?: boolean;
}

export async function invite(x: Exchange): Promise<void> {
  checkInvitation(x.body);
  const { project: own } = x.authenticated();
  const project = own.superAdmin ? x.app.system.readNow<Project>('Project', x.params.projectId as string) : own;
  const request: Invitation = { ...x.body, email: x.body.email?.toLowerCase() };
  const user = await findOrCreateUser(x.app, request, project);
  const profile = await findOrCreateProfile(x.app, request, project);
  const membership = await findOrCreateMembership(x.app, request, project, user, profile);
  await sendFhir(x, allOk, membership);
}

function checkInvitation(body: Record<string, unknown>): void {
  const types = ['Patient', 'Practitioner', 'RelatedPerson'];
  checkFields(body, [
    { field: 'resourceType', is: (v) => types.includes(v as string), message: 'Resource type is required' },
    { field: 'firstName', is: isNotEmpty, message: 'First name is required' },
    { field: 'lastName', is: isNotEmpty, message: 'Last name is required' },
    ...(isNotEmpty(body.externalId)
      ? []
      : [{ is: () => isEmail(body.email), message: 'Either email or externalId is required' }]),
  ]);
}

async function findOrCreateUser(app: App, request: Invitation, project: WithId<Project>): Promise<WithId<User>> {
  const { email, firstName, lastName, mfaRequired } = request;
  const inProject = request.resourceType === 'Patient' || Boolean(request.externalId) || request.scope === 'project';
  if (email) {
    const other = inProject ? userWithoutProject(app, email) : userInProject(app, email, project.id);
    if (!request.forceNewMembership && other && membershipIn(app, project, other)) {
      throw new OperationOutcomeError(conflict('User is already a member of this project'));
    }
    const existing = inProject ? userInProject(app, email, project.id) : userWithoutProject(app, email);
    if (existing) {
      return existing;
    }
  }
  return app.system.createResource<User>({
    resourceType: 'User',
    meta: inProject ? { project: project.id } : undefined,
    firstName,
    lastName,
    email,
    passwordHash: await hashPassword(request.password ?? newSecret(16)),
    project: inProject ? createReference(project) : undefined,
    mfaRequired,
    mfaSecret: mfaRequired ? newTotpSecret() : undefined,
  });
}

function membershipIn(app: App, project: Project, user: WithId<User>): WithId<ProjectMembership> | undefined {
  return findAll<ProjectMembership>(app, 'ProjectMembership', {
    user: `User/${user.id}`,
    project: `Project/${project.id}`,
  })[0];
}

async function findOrCreateProfile(app: App, request: Invitation, project: WithId<Project>): Promise<WithId<Resource>> {
  const { resourceType, firstName, lastName, email } = request;
  if (request.membership?.profile) {
    const profile = app.system.readReferenceNow<Resource>(request.membership.profile);
    if (profile.meta?.project !== project.id) {
      throw new OperationOutcomeError(badRequest('Profile does not belong to project'));
    }
    if (profile.resourceType !== resourceType) {
      throw new OperationOutcomeError(badRequest('Profile resourceType does not match request'));
    }
    return profile;
  }
  const existing = email ? findAll<Resource>(app, resourceType, { _project: project.id, email })[0] : undefined;
  return existing ?? createProfile(app, project, resourceType, firstName, lastName, email);
}

async function findOrCreateMembership(
  app: App,
  request: Invitation,
  project: WithId<Project>,
  user: WithId<User>,
  profile: WithId<Resource>
): Promise<WithId<ProjectMembership>> {
  checkPolicies(app, request, project);
  const details: Partial<ProjectMembership> = {
    externalId: request.externalId,
    accessPolicy: request.accessPolicy,
    access: request.access,
    admin: request.admin,
    ...request.membership,
  };
  const links = {
    resourceType: 'ProjectMembership' as const,
    project: createReference(project),
    user: createReference(user),
    profile: createReference(profile) as ProjectMembership['profile'],
  };
  const existing = request.forceNewMembership ? undefined : membershipIn(app, project, user);
  if (!existing) {
    return app.system.createResource<ProjectMembership>({ ...details, ...links });
  }
  if (!request.upsert) {
    throw new OperationOutcomeError(conflict('User is already a member of this project'));
  }
  if (existing.profile?.reference !== links.profile.reference) {
    throw new OperationOutcomeError(conflict('User is already a member of this project with a different profile'));
  }
  return app.system.updateResource<ProjectMembership>({ ...existing, ...details, ...links, id: existing.id });
}

function checkPolicies(app: App, request: Invitation, project: WithId<Project>): void {
  const policies = [request.accessPolicy, ...[...(request.access ?? []), ...(request.membership?.access ?? [])].map((a) => a.policy)];
  for (const reference of policies) {
    if (!reference) {
      continue;
    }
    const policy = app.system.tryRead(reference.reference);
    if (policy instanceof Error) {
      throw new OperationOutcomeError(badRequest(`Access policy ${reference.reference} does not exist`));
    }
    if (policy.meta?.project && policy.meta.project !== project.id) {
      throw new OperationOutcomeError(badRequest(`Access policy ${reference.reference} does not belong to this project`));
    }
  }
}

