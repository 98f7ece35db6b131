/** /fhir/R4: the router of @medplum/fhir-router, and the operations that the real server adds to it. */
import { isNotFound, isOk, OperationOutcomeError } from '@medplum/core';
import type { FhirRequest, FhirResponse, FhirRouteHandler, HttpMethod } from '@medplum/fhir-router';
import { FhirRouter } from '@medplum/fhir-router';
import type { Exchange } from '../http/exchange.ts';
import { sendFhir, sendJson, sendOutcome } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { execute } from '../bots/executeOperation.ts';
import { addBinaryRoutes } from './binary.ts';
import { capabilityStatement } from './capabilities.ts';
import { OPERATIONS } from './operations/index.ts';

/** The exchange of a FHIR request, for the operations: the router hands them the request only. */
export const exchanges = new WeakMap<FhirRequest, Exchange>();

export function addFhirRoutes(routes: Routes): void {
  const router = new FhirRouter();
  for (const [method, path, handler] of OPERATIONS) {
    const route: FhirRouteHandler = (request) => handler(exchanges.get(request) as Exchange, request);
    router.add(method, path, route);
  }
  addBinaryRoutes(routes);
  routes
    .add('GET', '/fhir/R4/metadata', (x) => sendJson(x, 200, capabilityStatement(x.app)))
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
  exchanges.set(request, x);
  const [outcome, resource, options]: [...FhirResponse] = await router.handleRequest(request, repo);
  if (resource) {
    await sendFhir(x, outcome, resource, options);
    return;
  }
  if (!isOk(outcome) || isNotFound(outcome)) {
    throw new OperationOutcomeError(outcome);
  }
  sendOutcome(x, outcome);
}
