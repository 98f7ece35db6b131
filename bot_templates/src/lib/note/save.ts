import { LONGEST_NOTE } from '../commands/create-encounter-note-draft.ts';
import { type CommandAnswer, submitCommand } from '../commands/submit.ts';
import { BotFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import type { LaidOut } from './layout.ts';
import { PROMPT } from './narrative.ts';
import type { DraftRequest } from './request.ts';

/** What became of a draft that was to be saved. */
export interface Saved {
  taskId: string | undefined;
  commandId: string | undefined;
  /** Code and message, where no Task was made. */
  failure: string | undefined;
  warnings: readonly string[];
  /** For the bot's answer. */
  output: Record<string, unknown>;
}

/** What the Command Processor takes. */
const MOST_SOURCES = 50;

/**
 * Hands the draft to the Command Processor Bot, which makes a Task of it; only a person's approval makes it a document.
 *
 * A draft that could not be saved is a failure, and the answer still shows it.
 */
export async function saveDraft(
  run: BotRun,
  request: DraftRequest,
  draft: { laidOut: LaidOut; confidence: number; model: string | undefined; sources: readonly string[] }
): Promise<Saved> {
  // The header does not reach the Command Processor Bot, which refuses whoever sends it.
  if (run.onBehalfOf !== undefined) {
    return notSaved('UNAUTHORIZED', 'nobody saves one on behalf of somebody else', { reason: 'ON_BEHALF_OF' });
  }
  const { content, sections } = draft.laidOut;
  if (content.length > LONGEST_NOTE) {
    const why = `a document of more than ${LONGEST_NOTE} characters cannot be saved; leave parts out`;
    return notSaved('INVALID_INPUT', why);
  }
  try {
    const answer = await submitCommand(run, {
      command: 'CreateEncounterNoteDraft',
      patientId: request.patientId,
      encounterId: request.encounterId,
      confidence: draft.confidence,
      aiModel: draft.model,
      promptTemplate: draft.model && `${PROMPT.id}/${PROMPT.version}`,
      sources: draft.sources.filter(isOfRecord).slice(0, MOST_SOURCES),
      parameters: {
        encounterId: request.encounterId,
        noteType: request.type,
        content,
        format: request.format,
        sections,
      },
    });
    return savedBy(answer);
  } catch (error) {
    if (error instanceof BotFailure) {
      return notSaved(error.code, error.message, error.details);
    }
    throw error;
  }
}

/** Whether a source is a resource of its own that belongs to the patient. */
function isOfRecord(reference: string): boolean {
  return reference.includes('/') && !reference.startsWith('Patient/');
}

function savedBy(answer: CommandAnswer): Saved {
  const { success, action, taskId, commandId, duplicate, warnings = [], blockReason } = answer;
  if (success && action === 'queued' && taskId !== undefined) {
    const output = { taskId, ...(duplicate ? { duplicate } : {}) };
    return { taskId, commandId, failure: undefined, warnings, output };
  }
  const code = typeof answer.errorCode === 'string' ? answer.errorCode : 'SAFETY_BLOCKED';
  const ended = action === 'ended' ? 'the same draft waited before, and its Task has ended' : undefined;
  const otherwise = ended ?? 'the Command Processor Bot did not queue it';
  const why = typeof answer.message === 'string' ? answer.message : otherwise;
  return { ...notSaved(code, why, blockReason && { blockReason }), commandId, warnings };
}

function notSaved(errorCode: string, why: string, details?: Record<string, unknown> | ''): Saved {
  const message = `The draft was not saved: ${why}`;
  return {
    taskId: undefined,
    commandId: undefined,
    failure: `${errorCode}: ${message}`,
    warnings: [],
    output: { success: false, errorCode, message, ...(details ? { details } : {}) },
  };
}
