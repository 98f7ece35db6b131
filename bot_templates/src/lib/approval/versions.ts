import type { CodeableConcept, Extension, Task, TaskOutput } from '@medplum/fhirtypes';
import { withAiLabel } from '../commands/label.ts';
import type { Write } from '../commands/kind.ts';
import { typeOf } from '../commands/task.ts';
import type { Decision } from './states.ts';
import type { Approval, Standing } from './standing.ts';
import { fixedElements } from './tampering.ts';

/** Codes of Task.businessStatus, in the system `NS/task-status`. */
export type BusinessStatus =
  | 'awaiting-approval'
  | 'awaiting-second'
  | 'executing'
  | 'executed'
  | 'rejected'
  | 'withdrawn'
  | 'expired'
  | 'forged'
  | 'tampered'
  | 'target-changed'
  | 'safety-blocked'
  | 'identifier-taken'
  | 'execution-failed';

/** What the next version of a Task says. */
export interface Change {
  status: Task['status'];
  businessStatus: BusinessStatus;
  approvals?: readonly Approval[];
  modified?: Standing['modified'];
  claim?: { id: string; decision: Decision };
  /** `Practitioner/id` of who rejected or withdrew. */
  decidedBy?: string | undefined;
  /** Why it was rejected, withdrawn or failed. */
  reason?: CodeableConcept | undefined;
  /** `Type/id` or `urn:uuid:…` of what was made or changed, the main one first. */
  results?: readonly string[];
  provenance?: string | undefined;
}

/** Reasons of a rejection that have a code, in the system `NS/rejection-reason`. */
export const REASONS = [
  'not-indicated',
  'inaccurate',
  'incomplete',
  'duplicate',
  'patient-preference',
  'other',
] as const;

/** A reason by its code, or in the words of whoever gives it. */
export function reasonConcept(namespace: string, reason: string | undefined): CodeableConcept | undefined {
  if (reason === undefined) {
    return undefined;
  }
  return REASONS.some((code) => code === reason) ? typeOf(namespace, 'rejection-reason', reason) : { text: reason };
}

/**
 * The next version of a Task: what stands now, with what nobody may change as it was first, and a new state.
 * @param original - The first version; undefined for a Task that is not believed.
 */
export function nextVersion(
  namespace: string,
  { current, original }: { current: Task; original: Task | undefined },
  change: Change,
  now = new Date()
): Write {
  const { statusReason: _, output: __, ...rest } = current;
  const output = outputsOf(namespace, change);
  const authored = Date.parse(current.authoredOn ?? '');
  const task: Task = {
    ...rest,
    ...(original === undefined ? {} : fixedElements(original)),
    meta: withAiLabel(current.meta),
    status: change.status,
    businessStatus: typeOf(namespace, 'task-status', change.businessStatus),
    // Never before it was authored, by whatever clock: the server would refuse it.
    lastModified: new Date(Math.max(now.getTime(), Number.isNaN(authored) ? 0 : authored)).toISOString(),
    ...(change.reason === undefined ? {} : { statusReason: change.reason }),
    ...(output.length === 0 ? {} : { output }),
  };
  return {
    fullUrl: `Task/${current.id}`,
    resource: task,
    request: { method: 'PUT', url: `Task/${current.id}`, ifMatch: `W/"${current.meta?.versionId}"` },
  };
}

function outputsOf(namespace: string, change: Change): TaskOutput[] {
  const output = (code: string, value: Omit<TaskOutput, 'type'>): TaskOutput => ({
    type: typeOf(namespace, 'task-output', code),
    ...value,
  });
  const { approvals = [], modified, claim, decidedBy, results = [], provenance } = change;
  return [
    ...approvals.map(({ who, roles }) =>
      output('approval', {
        extension: roles.map((role): Extension => ({ url: `${namespace}/approver-role`, valueCode: role })),
        valueReference: { reference: who },
      })
    ),
    ...(modified === undefined
      ? []
      : [
          output('modified-command', { valueString: modified.text }),
          output('modified-command-sha256', { valueString: modified.sha256 }),
        ]),
    ...(claim === undefined
      ? []
      : [output('claim', { valueString: claim.id }), output('decision', { valueCode: claim.decision })]),
    ...(decidedBy === undefined ? [] : [output('decided-by', { valueReference: { reference: decidedBy } })]),
    ...results.map((reference) => output('result', { valueReference: { reference } })),
    ...(provenance === undefined ? [] : [output('provenance', { valueReference: { reference: provenance } })]),
  ];
}
