/** Client applications, each with the membership that lets it log in. */
import type { WithId } from '@medplum/core';
import type { AccessPolicy, ClientApplication, Project, ProjectMembership, Reference } from '@medplum/fhirtypes';
import { createReference } from '@medplum/core';
import type { App } from '../app.ts';
import { newSecret } from '../auth/signer.ts';

export interface NewClient {
  readonly projectId: string;
  readonly name: string;
  readonly description?: string;
  readonly redirectUri?: string;
  readonly redirectUris?: string[];
  readonly accessPolicy?: Reference<AccessPolicy>;
  readonly accessTokenLifetime?: string;
  readonly refreshTokenLifetime?: string;
  readonly author?: Reference;
  /** Made up where missing. */
  readonly id?: string;
  readonly secret?: string;
}

export async function createClient(app: App, request: NewClient): Promise<WithId<ClientApplication>> {
  const { projectId, accessPolicy, author, id, secret, ...details } = request;
  const client = await app.system.createResource<ClientApplication>(
    {
      ...details,
      id,
      resourceType: 'ClientApplication',
      meta: { project: projectId, author },
      secret: secret ?? newSecret(32),
    },
    { assignedId: id !== undefined }
  );
  await app.system.createResource<ProjectMembership>({
    resourceType: 'ProjectMembership',
    meta: { project: projectId },
    project: createReference(app.system.readNow<Project>('Project', projectId)),
    user: createReference(client),
    profile: createReference(client),
    accessPolicy,
  });
  return client;
}
