import { randomUUID } from 'node:crypto';
import type { Provenance, ProvenanceAgent, ProvenanceEntity } from '@medplum/fhirtypes';
import { AI_LABEL } from './label.ts';
import type { Write } from './kind.ts';

/** What a Provenance says. */
export interface Origin {
  /** `Type/id` or `urn:uuid:…` of what came to be; the main one last. */
  targets: string[];
  activity: 'CREATE' | 'UPDATE' | 'CANCEL';
  /** `Device/id` of the model. */
  device: string;
  /** `Type/id` of those who approved, rejected, or ended it by hand. */
  verifiers: readonly string[];
  /** `Type/id` of the Task and of what the command is based on. */
  sources: readonly string[];
  /** `Type/id/_history/version` of what was replaced. */
  revised?: string | undefined;
  /** `Type/id/_history/version` of what was written, where it is known; of the targets in their order. */
  versions?: readonly string[] | undefined;
  /** An instant. */
  now: string;
}

const DISPLAYS = { CREATE: 'create', UPDATE: 'revise', CANCEL: 'cancel' } as const;

/** Says where something comes from, unless that is said already of the same target, model and sources. */
export function provenance(origin: Origin): Write {
  const { targets, device, sources, versions = [] } = origin;
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
      ...origin.verifiers.map(verifierOf),
    ],
    entity: [
      ...sources.map((reference): ProvenanceEntity => ({ role: 'source', what: { reference } })),
      ...(origin.revised === undefined ? [] : [{ role: 'revision' as const, what: { reference: origin.revised } }]),
      ...versionEntities(versions),
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

/** The versions that were written: the targets cannot name them, and a later edit must not pass for the model's. */
export function versionEntities(versions: readonly string[]): ProvenanceEntity[] {
  return versions.map((reference) => ({ role: 'derivation', what: { reference } }));
}

/** Whether a Provenance says which versions of its targets it is about. */
export function tellsVersions({ target, entity = [] }: Provenance): boolean {
  return entity.filter(({ role }) => role === 'derivation').length >= target.length;
}

/** A practitioner verifies; whoever else put an end to something did just that, and a bot cannot be referred to. */
function verifierOf(reference: string): ProvenanceAgent {
  if (reference.startsWith('Practitioner/')) {
    return { type: agentType('verifier', 'Verifier'), who: { reference } };
  }
  const isPerson = /^(?:Patient|RelatedPerson)\//.test(reference);
  return { type: agentType('performer', 'Performer'), who: isPerson ? { reference } : { display: reference } };
}

function withoutEntity({ entity: _, ...rest }: Provenance): Provenance {
  return rest;
}

function agentType(code: string, display: string): { coding: { system: string; code: string; display: string }[] } {
  return {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type', code, display }],
  };
}
