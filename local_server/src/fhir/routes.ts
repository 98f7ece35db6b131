/** /fhir/R4: the router of @medplum/fhir-router, and the operations that the real server adds to it. */
import { badRequest, isNotFound, isOk, OperationOutcomeError } from '@medplum/core';
import type { FhirRequest, FhirResponse, FhirRouteHandler, HttpMethod } from '@medplum/fhir-router';
import { FhirRouter } from '@medplum/fhir-router';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Exchange } from '../http/exchange.ts';
import { sendFhir, sendJson, sendOutcome } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { execute } from '../bots/executeOperation.ts';
import { addBinaryRoutes } from './binary.ts';
import { capabilityStatement } from './capabilities.ts';
import { jobStatus } from './jobs.ts';
import { OPERATIONS } from './operations/index.ts';

/** The exchange behind the router's requests, of which a batch makes many. */
const exchanges = new AsyncLocalStorage<Exchange>();

export function addFhirRoutes(routes: Routes): void {
  const router = new FhirRouter();
  for (const [method, path, handler] of OPERATIONS) {
    const route: FhirRouteHandler = (request) => handler(exchanges.getStore() as Exchange, request);
    router.add(method, path, route);
  }
  addBinaryRoutes(routes);
  routes
    .add('GET', '/fhir/R4/metadata', (x) => sendJson(x, 200, capabilityStatement(x.app)))
    .add('GET', '/fhir/R4/job/:id/status', jobStatus)
    .add('GET', '/fhir/R4/$versions', (x) => sendJson(x, 200, { versions: ['4.0'], default: '4.0' }));
  for (const method of ['GET', 'POST']) {
    routes
      .add(method, '/fhir/R4/Bot/$execute/*', execute)
      .add(method, '/fhir/R4/Bot/:id/$execute/*', execute);
  }
  routes.add('*', '/fhir/R4/*', (x) => fhir(x, router));
}

async function fhir(x: Exchange, router: FhirRouter): Promise<void> {
  const { repo, project } = x.authenticated();
  if (x.method === 'PATCH' && !Array.isArray(x.body)) {
    throw new OperationOutcomeError(badRequest('Patch body must be an array'));
  }
  const original = x.req.url ?? '';
  const request: FhirRequest = {
    method: x.method as HttpMethod,
    url: original.slice(original.indexOf('/fhir/R4') + '/fhir/R4'.length),
    pathname: '',
    params: {},
    query: {},
    body: x.body,
    headers: x.req.headers,
    config: { transactions: project.features?.includes('transaction-bundles') },
  };
  const [outcome, resource, options]: [...FhirResponse] = await exchanges.run(x, () =>
    router.handleRequest(request, repo)
  );
  if (resource) {
    await sendFhir(x, outcome, resource, options);
    return;
  }
  if (!isOk(outcome) || isNotFound(outcome)) {
    throw new OperationOutcomeError(outcome);
  }
  sendOutcome(x, outcome);
}
