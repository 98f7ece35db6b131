/** $expunge: forgets a resource with its history, or a whole project or compartment, in the background. */
import { allOk, forbidden } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { Resource } from '@medplum/fhirtypes';
import type { Exchange } from '../../http/exchange.ts';
import type { Repository } from '../repository.ts';
import { finishJob, startJob } from '../jobs.ts';
import { search } from '../search.ts';

const PAGE = 1000;

export async function expunge(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo, membership, project } = x.authenticated();
  if (!project.superAdmin && !membership.admin) {
    return [forbidden];
  }
  const { resourceType = '', id = '' } = request.params;
  if (resourceType !== 'Project' && request.query.everything !== 'true') {
    await repo.expunge(resourceType, [id]);
    return [allOk];
  }
  const job = await startJob(x, `${x.app.baseUrl}fhir/R4${request.pathname}`);
  void expungeCompartment(repo, id).then(
    () => finishJob(x.app, job.id, 'completed'),
    (err: Error) => {
      x.app.log.error('Expunge failed', { error: err.message });
      return finishJob(x.app, job.id, 'error');
    }
  );
  return [job.outcome];
}

async function expungeCompartment(repo: Repository, compartment: string): Promise<void> {
  for (const type of repo.app.store.types()) {
    if (type === 'Binary') {
      continue;
    }
    for (;;) {
      const bundle = search(repo, {
        resourceType: type as Resource['resourceType'],
        count: PAGE,
        filters: [{ code: '_compartment', operator: 'eq', value: compartment }],
      });
      const resources = (bundle.entry ?? []).map((e) => e.resource as Resource);
      if (resources.length === 0) {
        break;
      }
      await repo.expunge(type, resources.map((r) => r.id as string));
      const binaries = new Set(resources.flatMap((r) => [...JSON.stringify(r).matchAll(/"Binary\/([\da-f-]{36})"/g)].map((m) => m[1] as string)));
      if (binaries.size) {
        await repo.expunge('Binary', [...binaries]);
      }
    }
  }
}
