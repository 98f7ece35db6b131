import type { Task } from '@medplum/fhirtypes';
import { readHistory } from '../commands/history.ts';
import { findCommandBots } from '../commands/own-bots.ts';
import { commandOf } from '../commands/queued.ts';
import { type CommandAnswer, submitCommand } from '../commands/submit.ts';
import { APPROVAL_CODE, isApprovalTask, OPEN_STATUSES, TASK_CODE_SYSTEM } from '../commands/task.ts';
import { searchPage } from '../fhir.ts';
import { referencedId } from '../ids.ts';
import type { BotRun } from '../run.ts';
import type { Assembled } from './assemble.ts';
import type { EncounterRecord } from './encounter-record.ts';
import { ICD10CM } from './icd10cm.ts';
import { PROMPT } from './note-codes.ts';

export const COMMAND = 'SuggestBillingCodes';

/** What the Command Processor takes: codes or sources of a command, diagnoses and modifiers of a procedure. */
const MOST = { codes: 50, sources: 50, diagnoses: 12, modifiers: 4 } as const;

/** What became of the suggestion. */
export interface Submitted {
  command: Pick<CommandAnswer, 'action' | 'commandId' | 'blockReason' | 'duplicate'> & { command: string };
  taskId: string | undefined;
  warnings: string[];
}

/** Tasks of an encounter that say to wait with a suggestion. */
export interface Open {
  /** Of one that does; undefined when there is none. */
  taskId: string | undefined;
  /** Whether there are some that only say so. */
  forged: boolean;
}

/** A suggestion for the same encounter stands: a model that answers otherwise now must not make a second Task. */
export function alreadyOpen(taskId: string): Submitted {
  return { command: { command: COMMAND, duplicate: true }, taskId, warnings: ['SUGGESTION_ALREADY_OPEN'] };
}

/**
 * Hands the suggestion in as one command.
 * @throws BotFailure of the Command Processor
 */
export async function submitSuggestion(
  run: BotRun,
  record: EncounterRecord,
  suggestion: Assembled,
  model: string | undefined
): Promise<Submitted> {
  const all = suggestedCodes(suggestion);
  const suggested = all.slice(0, MOST.codes);
  const answer = await submitCommand(run, {
    command: COMMAND,
    patientId: record.patientId,
    encounterId: record.encounter.id,
    // As sure as the least sure of its codes.
    confidence: Math.min(...suggested.map(({ confidence }) => confidence)),
    ...(model === undefined ? {} : { aiModel: model, promptTemplate: `${PROMPT.id}/${PROMPT.version}` }),
    sources: sourcesOf(suggestion),
    parameters: { encounterId: record.encounter.id, suggestedCodes: suggested },
  });
  const { action, commandId, blockReason, duplicate } = answer;
  return {
    command: { command: COMMAND, ...present({ action, commandId, blockReason, duplicate }) },
    taskId: answer.taskId,
    warnings: [
      ...(answer.success ? [] : ['COMMAND_BLOCKED']),
      ...(all.length > suggested.length ? ['CODES_LIMITED'] : []),
      ...(answer.warnings ?? []),
    ],
  };
}

/**
 * Looks for a Task that waits with a suggestion for the encounter. It counts if the Command Processor made it, which its
 * history tells; one that somebody else made in that form keeps nobody from a suggestion, and is audited.
 */
export async function openTask(run: BotRun, { encounter, patientId }: EncounterRecord): Promise<Open> {
  const query = new URLSearchParams({
    encounter: `Encounter/${encounter.id}`,
    code: `${TASK_CODE_SYSTEM}|${COMMAND}`,
    identifier: `${run.namespace}/command|`,
    status: OPEN_STATUSES.join(),
    _sort: '_lastUpdated',
    _count: '10',
  });
  query.append('code', `${TASK_CODE_SYSTEM}|${APPROVAL_CODE}`);
  const page = await searchPage<Task>(run.medplum, 'Task', query.toString(), 'DB_ERROR');
  const tasks = (page.entry ?? []).map(({ resource }) => resource).filter((task) => task !== undefined);
  const isOurs = (task: Task): boolean =>
    isApprovalTask(task) && (task.identifier ?? []).some(({ system }) => system === `${run.namespace}/command`);
  const open: Open = { taskId: undefined, forged: false };
  const looksOpen = tasks.filter((task) => isOurs(task) && referencedId(task.for?.reference, 'Patient') === patientId);
  const processor = looksOpen.length === 0 ? undefined : (await findCommandBots(run)).get('command-processor');
  for (const { id } of looksOpen) {
    const versions = await readHistory<Task>(run, 'Task', id as string);
    if (commandOf(run, versions, processor) !== undefined) {
      open.taskId ??= id;
    } else {
      open.forged = true;
      noteForged(run, `Task/${id}`, patientId);
    }
  }
  return open;
}

function noteForged(run: BotRun, resource: string, patientId: string): void {
  run.audit.note({
    type: 'approval_refused',
    action: 'E',
    outcome: '8',
    outcomeDesc: 'SAFETY_BLOCKED: FORGED: a Task that the Command Processor Bot did not make says to wait with codes',
    patientId,
    resource,
  });
}

type SuggestedCode = Record<string, unknown> & { confidence: number };

/** The codes as the Command Processor takes them: the primary diagnosis first, never a price. */
function suggestedCodes({ diagnoses, procedures, modifiers }: Assembled): SuggestedCode[] {
  const primaryFirst = [...diagnoses].sort((one, other) => Number(other.isPrimary) - Number(one.isPrimary));
  return [
    ...primaryFirst.map(({ code, display, confidence, isPrimary }) => ({
      system: ICD10CM,
      code,
      ...(display === undefined ? {} : { display }),
      confidence,
      ...(isPrimary ? { isPrimary } : {}),
    })),
    ...procedures.map(({ system, code, confidence, diagnoses: supporting }) => {
      const own = modifiers
        .filter(({ appliesTo }) => appliesTo === code)
        .map((each) => each.code)
        .slice(0, MOST.modifiers);
      return {
        system,
        code,
        confidence,
        ...(own.length > 0 ? { modifiers: own } : {}),
        ...(supporting.length > 0 ? { diagnoses: supporting.slice(0, MOST.diagnoses) } : {}),
      };
    }),
  ];
}

function sourcesOf({ diagnoses, procedures }: Assembled): string[] {
  const references = [...diagnoses, ...procedures].flatMap(({ evidence }) =>
    evidence.map(({ reference }) => reference)
  );
  return [...new Set(references)].slice(0, MOST.sources);
}

function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
