import { submitCommand } from '../commands/submit.ts';
import { asFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import type { CriticalCode, CriticalFinding } from './critical.ts';

/** What became of the command for one Observation. */
export interface Flagged {
  command: 'FlagAbnormalResult';
  observation: string;
  interpretation: CriticalCode;
  /** `ended`: a Task of the same command ended without a Flag, and a person must look at the result themselves. */
  action: 'executed' | 'queued' | 'ended' | 'blocked' | 'failed';
  commandId?: string;
  taskId?: string;
  /** Of that Task. */
  status?: string;
  /** `Flag/id` where it was executed. */
  flag?: string;
  duplicate?: boolean;
  blockReason?: string;
  errorCode?: string;
}

/** Observations that one run hands on; the newest go first. */
const MOST = 20;
const INTERPRETATION = 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation';

/**
 * Hands every critical result to the Command Processor, one command for each Observation.
 *
 * A command depends on the Observation alone, not on what asked for it: the same result gives the same command, and so
 * one Flag, whoever looks and how often.
 */
export async function flagCritical(
  run: BotRun,
  patientId: string,
  findings: readonly CriticalFinding[]
): Promise<{ commands: Flagged[]; warnings: string[] }> {
  const byObservation = new Map<string, Set<CriticalCode>>();
  for (const { observation, interpretation } of findings) {
    byObservation.set(observation, (byObservation.get(observation) ?? new Set()).add(interpretation));
  }
  const commands: Flagged[] = [];
  for (const [observation, codes] of [...byObservation].slice(0, MOST)) {
    const [code] = codes;
    commands.push(await flag(run, patientId, observation, codes.size === 1 ? (code as CriticalCode) : 'AA'));
  }
  return {
    commands,
    warnings: [
      ...(byObservation.size > MOST ? ['COMMANDS_LIMITED'] : []),
      ...(commands.some(({ action }) => action === 'blocked') ? ['COMMAND_BLOCKED'] : []),
      ...(commands.some(({ action }) => action === 'failed') ? ['COMMAND_FAILED'] : []),
      ...(commands.some(({ action }) => action === 'ended') ? ['EARLIER_TASK_ENDED'] : []),
    ],
  };
}

async function flag(
  run: BotRun,
  patientId: string,
  observation: string,
  interpretation: CriticalCode
): Promise<Flagged> {
  const common = { command: 'FlagAbnormalResult', observation, interpretation } as const;
  try {
    const answer = await submitCommand(run, {
      command: 'FlagAbnormalResult',
      patientId,
      confidence: 1,
      sources: [observation],
      parameters: {
        observationId: observation.split('/')[1],
        severity: 'critical',
        interpretation: { system: INTERPRETATION, code: interpretation },
      },
    });
    const { commandId, taskId, status, executedResourceId, duplicate, blockReason, errorCode } = answer;
    return {
      ...common,
      action: answer.action ?? 'failed',
      ...(commandId === undefined ? {} : { commandId }),
      ...(taskId === undefined ? {} : { taskId }),
      ...(status === undefined ? {} : { status }),
      ...(executedResourceId === undefined ? {} : { flag: `Flag/${executedResourceId}` }),
      ...(duplicate === undefined ? {} : { duplicate }),
      ...(blockReason === undefined ? {} : { blockReason }),
      ...(typeof errorCode === 'string' && answer.action === undefined ? { errorCode } : {}),
    };
  } catch (error) {
    // The other findings must reach whoever asked; that a flag is missing, the answer says.
    return { ...common, action: 'failed', errorCode: asFailure(error, 'NOT_CONFIGURED').code };
  }
}
