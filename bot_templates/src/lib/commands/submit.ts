import { executeBot, type BotAnswer } from '../other-bots.ts';
import type { BotRun } from '../run.ts';

/** A command as a bot hands it in. Whether it runs, waits for a person or is blocked, the Command Processor decides. */
export interface Submission {
  /** Such as `SuggestBillingCodes`. */
  command: string;
  patientId: string;
  encounterId?: string | undefined;
  /** 0 to 1. */
  confidence: number;
  /** As the router names it; undefined where no model took part. */
  aiModel?: string | undefined;
  /** `id/version` of the prompt. */
  promptTemplate?: string | undefined;
  /** `Type/id` of what the command is based on. */
  sources?: readonly string[] | undefined;
  parameters: Record<string, unknown>;
}

/** What became of it; `success: false` with an `errorCode` where it was blocked or not understood. */
export type CommandAnswer = BotAnswer & {
  /** `ended`: the same command was queued before, and its Task ended without it; nothing waits. */
  action?: 'executed' | 'queued' | 'ended' | 'blocked';
  commandId?: string;
  taskId?: string;
  /** Of that Task. */
  status?: string;
  executedResourceId?: string;
  blockReason?: string;
  warnings?: string[];
  duplicate?: boolean;
};

/** Checking and executing a command takes about ten FHIR requests. */
const LIMIT_MS = 20_000;

/**
 * Hands a command to the Command Processor Bot, with the rights of this run.
 * @throws BotFailure NOT_CONFIGURED when that bot is not deployed or not readable, UNAUTHORIZED, TIMEOUT
 */
export async function submitCommand(run: BotRun, submission: Submission): Promise<CommandAnswer> {
  return (await executeBot(run, 'command-processor', { ...submission }, LIMIT_MS)) as CommandAnswer;
}
