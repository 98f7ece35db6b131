import type { Task } from '@medplum/fhirtypes';
import { readHistory } from '../commands/history.ts';
import { findCommandBots } from '../commands/own-bots.ts';
import { isApprovalTask } from '../commands/task.ts';
import { asFailure, BotFailure } from '../failure.ts';
import { parseReference } from '../ids.ts';
import type { BotRun } from '../run.ts';
import { refusal } from './refusal.ts';
import { type Authors, type Standing, standingOf, type Untrusted } from './standing.ts';

/**
 * The bots whose versions of a Task count.
 * @throws BotFailure NOT_CONFIGURED unless there is exactly one Command Processor Bot: with two, nobody knows whose
 * Tasks are to be believed.
 */
export async function findAuthors(run: BotRun): Promise<Authors> {
  const processor = (await findCommandBots(run)).get('command-processor');
  if (processor === undefined) {
    throw new BotFailure('NOT_CONFIGURED', 'There must be one Command Processor Bot, and this bot must find it');
  }
  return { namespace: run.namespace, processor, queue: run.reference };
}

/**
 * Reads a Task with its history, and notes whom it concerns for the audit trail.
 * @throws BotFailure INVALID_INPUT when there is no such Task, or it neither is nor says to be a command
 */
export async function loadStanding(run: BotRun, taskId: string, authors: Authors): Promise<Standing | Untrusted> {
  run.resource = `Task/${taskId}`;
  const versions = await readHistory<Task>(run, 'Task', taskId).catch((error: unknown) => {
    const failure = asFailure(error, 'DB_ERROR');
    throw failure.details?.absent === undefined
      ? failure
      : new BotFailure('INVALID_INPUT', 'There is no such Task', { taskId });
  });
  const ends = [versions[0], versions.at(-1)];
  if (!ends.some((version) => version?.resource !== undefined && isApprovalTask(version.resource))) {
    // Whoever names it by mistake must not end it: it is somebody's work, and no forgery of ours.
    throw new BotFailure('INVALID_INPUT', 'The Task is no command that waits for approval', { taskId });
  }
  const standing = standingOf(versions, authors);
  if (standing.trusted) {
    run.patientId = standing.command.patientId;
    run.commandId = standing.queued.commandId;
  } else {
    run.patientId = parseReference(standing.current?.for?.reference)?.id;
  }
  return standing;
}

/** The refusal of a Task that is not what it seems. */
export function untrustedRefusal({ reason, current }: Untrusted): BotFailure {
  const messages = {
    DELETED: 'The Task was deleted once: what stands under its id now need not be what was queued',
    FORGED: 'The Command Processor Bot did not make this Task',
    TAMPERED: 'Somebody changed what the Task asks for, or what became of it',
  } as const;
  return refusal(reason, messages[reason], { taskId: current?.id, status: current?.status });
}
