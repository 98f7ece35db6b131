/** Work that outlives its request: an AsyncJob that the client asks after. */
import type { WithId } from '@medplum/core';
import { accepted, allOk } from '@medplum/core';
import type { AsyncJob, OperationOutcome, Parameters } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendFhir } from '../http/reply.ts';

export interface StartedJob {
  readonly id: string;
  /** 202, with the address of the job's status. */
  readonly outcome: OperationOutcome;
}

/** @param request - The address that asked for the work. */
export async function startJob(x: Exchange, request: string): Promise<StartedJob> {
  const job = await x.authenticated().repo.createResource<AsyncJob>({
    resourceType: 'AsyncJob',
    status: 'accepted',
    request,
    requestTime: new Date().toISOString(),
  });
  return { id: job.id, outcome: accepted(statusUrl(x.app, job.id)) };
}

/** Does nothing when the job itself is gone by now. */
export async function finishJob(app: App, id: string, status: 'completed' | 'error', output?: Parameters): Promise<void> {
  const job = app.system.tryRead(`AsyncJob/${id}`);
  if (!(job instanceof Error)) {
    const transactionTime = new Date().toISOString();
    await app.system.updateResource<AsyncJob>({ ...(job as WithId<AsyncJob>), status, transactionTime, output });
  }
}

/** GET /fhir/R4/job/:id/status: 202 while it runs, 200 when it is over. */
export async function jobStatus(x: Exchange): Promise<void> {
  const job = await x.authenticated().repo.readResource<AsyncJob>('AsyncJob', x.params.id as string);
  const over = job.status === 'completed' || job.status === 'error';
  await sendFhir(x, over ? allOk : accepted(statusUrl(x.app, job.id)), job);
}

function statusUrl(app: App, id: string): string {
  return `${app.baseUrl}fhir/R4/job/${id}/status`;
}
