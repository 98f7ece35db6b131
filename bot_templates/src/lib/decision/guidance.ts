import type { DataRequirement, GuidanceResponse, ParametersParameter } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';
import { write } from '../commands/writing.ts';
import { sha256 } from '../hash.ts';
import type { BotRun } from '../run.ts';
import type { Ruleset } from './rules.ts';

/** What a decision rested on and what came of it, as it is kept. */
export interface Snapshot {
  patientId: string;
  encounterId: string | undefined;
  analyses: readonly string[];
  ruleset: Ruleset;
  /** `Type/id@version` of every record that was considered. */
  considered: readonly string[];
  /** `DetectedIssue/id` of those that stand. */
  issues: readonly string[];
  /** `Observation/id` of what is critical. */
  critical: readonly string[];
  /** Recommendations, as `rule:status`. */
  preventive: readonly string[];
  /** What the record lacks. */
  missing: readonly DataRequirement[];
}

/** The same record judged by the same rules has the same hash. */
export function snapshotHash(snapshot: Snapshot): string {
  const { considered, analyses, issues, critical, preventive, missing, ...rest } = snapshot;
  const sorted = [considered, analyses, issues, critical, preventive].map((each) => [...each].sort());
  return sha256(JSON.stringify([rest.patientId, rest.encounterId ?? null, rest.ruleset, sorted, missing]));
}

/**
 * Keeps that a decision was made: once for each snapshot.
 * @returns Its id, new or not.
 * @throws BotFailure
 */
export async function keepGuidance(run: BotRun, snapshot: Snapshot): Promise<{ id: string; created: boolean }> {
  const resource = guidanceOf(run.namespace, snapshot, await run.device(), new Date().toISOString());
  const { system, value } = resource.identifier?.[0] ?? {};
  const answer = await write(run, {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource,
    request: {
      method: 'POST',
      url: 'GuidanceResponse',
      ifNoneExist: `identifier=${encodeURIComponent(`${system}|${value}`)}`,
    },
  });
  // A create has no version to differ from.
  return 'resource' in answer
    ? { id: answer.resource.id as string, created: answer.created }
    : { id: '', created: false };
}

/** The decision as FHIR. Nothing in it is of a model: its suggestions are in the answer of the bot alone. */
export function guidanceOf(
  namespace: string,
  snapshot: Snapshot,
  device: string | undefined,
  now: string
): GuidanceResponse {
  const hash = snapshotHash(snapshot);
  const output: ParametersParameter[] = [
    ...snapshot.issues.map((reference) => ({ name: 'detectedIssue', valueReference: { reference } })),
    ...snapshot.critical.map((reference) => ({ name: 'criticalResult', valueReference: { reference } })),
    ...snapshot.preventive.map((valueCode) => ({ name: 'preventive', valueString: valueCode })),
  ];
  return {
    resourceType: 'GuidanceResponse',
    identifier: [{ system: `${namespace}/decision-snapshot`, value: hash }],
    requestIdentifier: { system: `${namespace}/decision-snapshot`, value: hash },
    moduleUri: `${namespace}/${snapshot.ruleset.id}/${snapshot.ruleset.version}`,
    status: snapshot.missing.length > 0 ? 'data-requested' : 'success',
    subject: { reference: `Patient/${snapshot.patientId}` },
    ...(snapshot.encounterId === undefined ? {} : { encounter: { reference: `Encounter/${snapshot.encounterId}` } }),
    occurrenceDateTime: now,
    ...(device === undefined ? {} : { performer: { reference: device } }),
    ...(snapshot.missing.length > 0 ? { dataRequirement: [...snapshot.missing] } : {}),
    ...(output.length > 0
      ? {
          contained: [{ resourceType: 'Parameters', id: 'output', parameter: output }],
          outputParameters: { reference: '#output' },
        }
      : {}),
  };
}
