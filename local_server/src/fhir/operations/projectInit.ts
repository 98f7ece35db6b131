/** Project/$init: a project with its default client and, where there is an owner, a project admin. */
import type { WithId } from '@medplum/core';
import { badRequest, createReference, created, OperationOutcomeError } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { ClientApplication, Practitioner, Project, ProjectMembership, Reference, User } from '@medplum/fhirtypes';
import type { App } from '../../app.ts';
import { createClient } from '../../admin/clients.ts';
import { userWithoutProject } from '../../auth/directory.ts';
import type { Exchange } from '../../http/exchange.ts';
import { inputParameters } from './parameters.ts';

interface Input {
  name: string;
  owner?: Reference;
  ownerEmail?: string;
}

export async function initProject(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { auth } = x.authenticated();
  const input = inputParameters<Input>(request, {
    name: { type: 'string', required: true },
    owner: { type: 'Reference' },
    ownerEmail: { type: 'string' },
  });
  const reference = ownerReference(x.app, input, auth.login.user?.reference);
  const owner = reference ? x.app.system.readReferenceNow<User>(reference as Reference<User>) : undefined;
  if (owner && owner.resourceType !== 'User') {
    return [badRequest('Only Users are permitted to be the owner of a new Project')];
  }
  if (owner?.project) {
    return [badRequest('Project owner must not belong to another Project')];
  }
  const { project } = await createProject(x.app, { name: input.name, owner });
  return [created, project];
}

function ownerReference(app: App, input: Input, self: string | undefined): Reference | undefined {
  if (input.owner) {
    return input.owner;
  }
  if (input.ownerEmail) {
    const user = userWithoutProject(app, input.ownerEmail);
    if (!user) {
      // A new user's password is held against a public list of breached ones, which is not within reach.
      throw new OperationOutcomeError(badRequest('fetch failed'));
    }
    return createReference(user);
  }
  return self?.startsWith('User/') ? { reference: self } : undefined;
}

export interface NewProject {
  readonly name: string;
  readonly owner?: WithId<User>;
  readonly features?: string[];
  readonly client?: { readonly id?: string; readonly secret?: string };
}

export interface CreatedProject {
  readonly project: WithId<Project>;
  readonly client: WithId<ClientApplication>;
}

export async function createProject(app: App, { name, owner, features, client }: NewProject): Promise<CreatedProject> {
  const project = await app.system.createResource<Project>({
    resourceType: 'Project',
    name,
    owner: owner && createReference(owner),
    strictMode: true,
    features: features?.length ? (features as Project['features']) : undefined,
  });
  const defaultClient = await createClient(app, {
    projectId: project.id,
    name: `${name} Default Client`,
    description: `Default client for ${name}`,
    ...client,
  });
  if (owner) {
    await addOwner(app, project, owner);
  }
  return { project, client: defaultClient };
}

/** Makes the user an administrator of the project, as a Practitioner. */
export async function addOwner(app: App, project: WithId<Project>, owner: WithId<User>): Promise<void> {
  const profile = await createProfile(app, project, 'Practitioner', owner.firstName, owner.lastName, owner.email);
  await app.system.createResource<ProjectMembership>({
    resourceType: 'ProjectMembership',
    project: createReference(project),
    user: createReference(owner),
    profile: createReference(profile),
    admin: true,
  });
}

export async function createProfile(
  app: App,
  project: WithId<Project>,
  resourceType: 'Practitioner' | 'Patient' | 'RelatedPerson',
  firstName: string,
  lastName: string,
  email: string | undefined
): Promise<WithId<Practitioner>> {
  return app.system.createResource<Practitioner>({
    resourceType: resourceType as 'Practitioner',
    meta: { project: project.id },
    name: [{ given: [firstName], family: lastName }],
    telecom: email ? [{ system: 'email', use: 'work', value: email }] : undefined,
  });
}
