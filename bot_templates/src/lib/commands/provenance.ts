import { randomUUID } from 'node:crypto';
import type { Provenance, ProvenanceEntity } from '@medplum/fhirtypes';
import { AI_LABEL } from './label.ts';
import type { Write } from './kind.ts';

/** What a Provenance says. */
export interface Origin {
  /** `Type/id` or `urn:uuid:…` of what came to be; the main one last. */
  targets: string[];
  activity: 'CREATE' | 'UPDATE' | 'CANCEL';
  /** `Device/id` of the model. */
  device: string;
  /** `Practitioner/id` of those who approved or rejected. */
  verifiers: readonly string[];
  /** `Type/id` of the Task and of what the command is based on. */
  sources: readonly string[];
  /** `Type/id/_history/version` of what was replaced. */
  revised?: string | undefined;
  /** An instant. */
  now: string;
}

const DISPLAYS = { CREATE: 'create', UPDATE: 'revise', CANCEL: 'cancel' } as const;

/** Says where something comes from, unless that is said already of the same target, model and sources. */
export function provenance(origin: Origin): Write {
  const { targets, device, sources } = origin;
  const resource: Provenance = {
    resourceType: 'Provenance',
    // Without a version: one with it is found by no search for its target.
    target: targets.map((reference) => ({ reference })),
    recorded: origin.now,
    reason: [{ coding: [AI_LABEL] }],
    activity: {
      coding: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/v3-DataOperation',
          code: origin.activity,
          display: DISPLAYS[origin.activity],
        },
      ],
    },
    agent: [
      { type: agentType('author', 'Author'), who: { reference: device } },
      ...origin.verifiers.map((reference) => ({ type: agentType('verifier', 'Verifier'), who: { reference } })),
    ],
    entity: [
      ...sources.map((reference): ProvenanceEntity => ({ role: 'source', what: { reference } })),
      ...(origin.revised === undefined ? [] : [{ role: 'revision' as const, what: { reference: origin.revised } }]),
    ],
  };
  const query = new URLSearchParams({ target: targets.at(-1) as string, agent: device });
  if (sources[0] !== undefined) {
    query.set('entity', sources[0]);
  }
  return {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource: resource.entity?.length ? resource : withoutEntity(resource),
    request: { method: 'POST', url: 'Provenance', ifNoneExist: query.toString() },
  };
}

function withoutEntity({ entity: _, ...rest }: Provenance): Provenance {
  return rest;
}

function agentType(code: string, display: string): { coding: { system: string; code: string; display: string }[] } {
  return {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type', code, display }],
  };
}
