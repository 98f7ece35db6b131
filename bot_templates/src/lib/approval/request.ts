import { BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import { isObject } from '../input.ts';
import { DECISIONS, type Decision } from './states.ts';

/** What somebody decides about a Task. */
export interface DecisionRequest {
  taskId: string;
  decision: Decision;
  reason: string | undefined;
  /** Parameters that replace the command's own. */
  modifications: Record<string, unknown> | undefined;
  /** Hash of the command that they saw. */
  commandSha256: string | undefined;
}

/** @throws BotFailure INVALID_INPUT */
export function readDecision(input: Record<string, unknown>): DecisionRequest {
  const fields = new Fields(input);
  const request: DecisionRequest = {
    taskId: fields.present('taskId', fields.id('taskId', 'Task')),
    decision: fields.present('decision', fields.oneOf('decision', DECISIONS)),
    reason: fields.text('reason', 500),
    modifications: isObject(input.modifications) ? input.modifications : undefined,
    commandSha256: fields.text('commandSha256', 64),
  };
  fields.object('modifications');
  fields.done();
  if (request.decision !== 'approve' && (request.modifications ?? request.commandSha256) !== undefined) {
    throw new BotFailure('INVALID_INPUT', 'modifications and commandSha256 are for approve', { field: 'decision' });
  }
  return request;
}
