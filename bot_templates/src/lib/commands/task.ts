import { randomUUID } from 'node:crypto';
import type { CodeableConcept, Reference, Task, TaskInput, TaskOutput } from '@medplum/fhirtypes';
import { withAiLabel } from './label.ts';
import { type ApprovalReason, type ApprovalRule, type ApproverRole, APPROVER_ROLES, type Write } from './kind.ts';
import { byIdentifier, commandIdentifier } from './writes.ts';

/** The system of the codes by which the guide's subscription and lists find these Tasks. */
export const TASK_CODE_SYSTEM = 'http://medplum.com/ai-command';
export const APPROVAL_CODE = 'ai-approval';

/** Statuses under which a Task still waits for somebody or something. */
export const OPEN_STATUSES = ['draft', 'requested', 'received', 'accepted', 'ready', 'on-hold', 'in-progress'];

/** What a queued command is written from. */
export interface TaskContent {
  namespace: string;
  commandId: string;
  /** Canonical JSON. */
  text: string;
  name: string;
  patientId: string;
  encounterId: string | undefined;
  focus: string | undefined;
  /** `Practitioner/id` or `Device/id` */
  requester: string;
  rule: ApprovalRule;
  priority: NonNullable<Task['priority']>;
  confidence: number;
  aiModel: string | undefined;
  promptTemplate: string | undefined;
  sources: readonly string[];
  /** Of the record that the command changes. */
  targetVersion: string | undefined;
  /** A further identifier that no Task has yet, where forged Tasks carry the command's own. */
  apart?: string | undefined;
  now: Date;
}

const HOUR_MS = 3_600_000;
const ROLE_NAMES: Record<ApproverRole, string> = {
  practitioner: 'Practitioner',
  nurse: 'Nurse',
  pharmacist: 'Pharmacist',
  billing: 'Billing',
};

/** The write that queues a command, unless it is queued already. */
export function queueTask(content: TaskContent): Write {
  const { namespace, rule, now } = content;
  const identifier = commandIdentifier(namespace, content.commandId);
  const apart = content.apart === undefined ? [] : [{ system: `${namespace}/command-task`, value: content.apart }];
  const input = (code: string, value: Omit<TaskInput, 'type'>): TaskInput => ({
    type: typeOf(namespace, 'task-input', code),
    ...value,
  });
  const optional = (code: string, value: string | undefined): TaskInput[] =>
    value === undefined ? [] : [input(code, { valueString: value })];
  const task: Task = {
    resourceType: 'Task',
    meta: withAiLabel(undefined),
    identifier: [identifier, ...apart],
    status: 'requested',
    intent: 'proposal',
    priority: content.priority,
    businessStatus: typeOf(namespace, 'task-status', 'awaiting-approval'),
    code: {
      coding: [
        { system: TASK_CODE_SYSTEM, code: APPROVAL_CODE },
        { system: TASK_CODE_SYSTEM, code: content.name },
      ],
      text: content.name,
    },
    for: { reference: `Patient/${content.patientId}` },
    ...(content.encounterId === undefined ? {} : { encounter: { reference: `Encounter/${content.encounterId}` } }),
    ...(content.focus === undefined ? {} : { focus: { reference: content.focus } }),
    authoredOn: now.toISOString(),
    lastModified: now.toISOString(),
    requester: { reference: content.requester } as Reference as NonNullable<Task['requester']>,
    performerType: rule.roles.map((role) => ({
      coding: [{ system: `${namespace}/approver-role`, code: role, display: ROLE_NAMES[role] }],
    })),
    restriction: { period: { end: new Date(now.getTime() + rule.hours * HOUR_MS).toISOString() } },
    input: [
      input('command', { valueString: content.text }),
      input('command-sha256', { valueString: content.commandId }),
      input('confidence', { valueDecimal: content.confidence }),
      input('approval-mode', { valueCode: rule.dual ? 'dual' : 'single' }),
      ...rule.reasons.map((reason) => input('approval-reason', { valueCode: reason })),
      ...optional('ai-model', content.aiModel),
      ...optional('prompt-template', content.promptTemplate),
      ...content.sources.map((reference) => input('source', { valueReference: { reference } })),
      ...optional('target-version', content.targetVersion),
    ],
  };
  return {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource: task,
    request: { method: 'POST', url: 'Task', ifNoneExist: byIdentifier(apart[0] ?? identifier) },
  };
}

/** What a Task says of the command that it holds. Whether that is to be trusted, its history tells. */
export interface QueuedCommand {
  /** Of the identifier. */
  commandId: string | undefined;
  text: string | undefined;
  sha256: string | undefined;
  confidence: number;
  dual: boolean;
  reasons: ApprovalReason[];
  roles: ApproverRole[];
  sources: string[];
  aiModel: string | undefined;
  targetVersion: string | undefined;
  /** An instant. */
  expires: string | undefined;
}

export function readTask(task: Task, namespace: string): QueuedCommand {
  const inputs = (code: string): TaskInput[] => (task.input ?? []).filter(({ type }) => hasType(type, `${namespace}/task-input`, code));
  const text = (code: string): string | undefined => inputs(code)[0]?.valueString;
  const roles = (task.performerType ?? []).flatMap(({ coding }) => coding ?? []);
  return {
    commandId: task.identifier?.find(({ system }) => system === `${namespace}/command`)?.value,
    text: text('command'),
    sha256: text('command-sha256'),
    confidence: inputs('confidence')[0]?.valueDecimal ?? 0,
    // Whatever is not said to need one person needs two.
    dual: inputs('approval-mode')[0]?.valueCode !== 'single',
    reasons: inputs('approval-reason').map(({ valueCode }) => valueCode as ApprovalReason),
    roles: APPROVER_ROLES.filter((role) =>
      roles.some(({ system, code }) => system === `${namespace}/approver-role` && code === role)
    ),
    sources: inputs('source')
      .map(({ valueReference }) => valueReference?.reference)
      .filter((reference) => reference !== undefined),
    aiModel: text('ai-model'),
    targetVersion: text('target-version'),
    expires: task.restriction?.period?.end,
  };
}

/** The outputs of a Task under one of our own codes. */
export function taskOutputs(task: Task | undefined, namespace: string, code: string): TaskOutput[] {
  return (task?.output ?? []).filter(({ type }) => hasType(type, `${namespace}/task-output`, code));
}

/** Whether a Task is, or says to be, a command that waits for approval. */
export function isApprovalTask(task: Task): boolean {
  return (task.code?.coding ?? []).some(({ system, code }) => system === TASK_CODE_SYSTEM && code === APPROVAL_CODE);
}

/** A code of one of our own systems. */
export function typeOf(namespace: string, system: string, code: string): CodeableConcept {
  return { coding: [{ system: `${namespace}/${system}`, code }] };
}

/** Whether a concept has a code. */
export function hasType(concept: CodeableConcept | undefined, system: string, code: string): boolean {
  return (concept?.coding ?? []).some((each) => each.system === system && each.code === code);
}
