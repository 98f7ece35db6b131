/** The operations beyond plain FHIR interactions, each with its route. */
import type { FhirRequest, FhirResponse, HttpMethod } from '@medplum/fhir-router';
import type { Exchange } from '../../http/exchange.ts';
import { deploy, initBot } from '../../bots/deploy.ts';
import { expunge } from './expunge.ts';
import { everything } from './everything.ts';
import { reindex, resend, rotateSecret, validateOnly } from './maintenance.ts';
import { initProject } from './projectInit.ts';

export type Operation = (x: Exchange, request: FhirRequest) => Promise<FhirResponse>;

export const OPERATIONS: readonly (readonly [HttpMethod, string, Operation])[] = [
  ['POST', '/Project/$init', initProject],
  ['POST', '/Bot/$init', initBot],
  ['POST', '/Bot/:id/$deploy', deploy],
  ['GET', '/Patient/:id/$everything', everything],
  ['POST', '/Patient/:id/$everything', everything],
  ['POST', '/ClientApplication/:id/$rotate-secret', rotateSecret],
  ['POST', '/:resourceType/:id/$expunge', expunge],
  ['POST', '/:resourceType/:id/$resend', resend],
  ['POST', '/:resourceType/:id/$reindex', reindex],
  ['POST', '/:resourceType/$validate', validateOnly],
];
