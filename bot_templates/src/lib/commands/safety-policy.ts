import { readDecisionRules } from '../decision/policy.ts';
import type { DecisionRules } from '../decision/rules.ts';
import { BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import { isObject } from '../input.ts';
import type { Secrets } from '../secrets.ts';

/** What a site makes stricter than it is here; of the commands nothing can be made laxer. */
export interface SafetyPolicy {
  /** Names of commands that this site does not want at all. */
  blockedCommands: string[];
  /** Names of commands that always need approval. */
  approvalCommands: string[];
  /** Further ingredients that count as controlled substances, in lower case. */
  controlledSubstances: string[];
  /** Further ingredients that need a pharmacist too, in lower case. */
  highRiskDrugs: string[];
  /** The rules of decision support as the site has them: its limits, and what it adds or switches off. */
  decisionRules: DecisionRules;
}

/**
 * Reads the project secret SAFETY_POLICY, a JSON object of lists.
 * @throws BotFailure NOT_CONFIGURED when it is something else: a rule that is not understood must not be skipped.
 */
export function readSafetyPolicy(secrets: Secrets): SafetyPolicy {
  const text = secrets.optional('SAFETY_POLICY');
  try {
    const value: unknown = text === undefined ? {} : JSON.parse(text);
    if (!isObject(value)) {
      throw new Error('no object');
    }
    const fields = new Fields(value);
    const names = (name: string): string[] => fields.texts(name, 500, 80) ?? [];
    const lists = {
      blockedCommands: names('blockedCommands'),
      approvalCommands: names('approvalCommands'),
      controlledSubstances: names('controlledSubstances').map((each) => each.toLowerCase()),
      highRiskDrugs: names('highRiskDrugs').map((each) => each.toLowerCase()),
    };
    // The part of the Clinical Decision Support Bot, in the same secret: read on its own, for it says what is wrong.
    fields.ignore('decisionSupport');
    fields.done();
    return { ...lists, decisionRules: readDecisionRules(secrets) };
  } catch (error) {
    if (error instanceof BotFailure && error.code === 'NOT_CONFIGURED') {
      throw error;
    }
    throw new BotFailure('NOT_CONFIGURED', 'The project secret SAFETY_POLICY is no object of lists that are known', {
      secret: 'SAFETY_POLICY',
    });
  }
}

/** Below this a command is blocked, whatever the site says. */
const LEAST_CONFIDENCE = 0.5;
/** Below this a command carries a warning. */
export const LOW_CONFIDENCE = 0.6;

/**
 * The confidence that a command needs: 0.5, or more where the project secret MIN_CONFIDENCE says so.
 * @throws BotFailure NOT_CONFIGURED
 */
export function leastConfidence(secrets: Secrets): number {
  const text = secrets.optional('MIN_CONFIDENCE');
  const value = Number(text ?? LEAST_CONFIDENCE);
  if (!(value >= 0 && value <= 1)) {
    throw new BotFailure('NOT_CONFIGURED', 'The project secret MIN_CONFIDENCE must be a number from 0 to 1', {
      secret: 'MIN_CONFIDENCE',
    });
  }
  return Math.max(value, LEAST_CONFIDENCE);
}
