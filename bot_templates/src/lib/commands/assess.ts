import type { Secrets } from '../secrets.ts';
import { ageInYears } from '../patient.ts';
import { blockOfUnknown } from './command.ts';
import type { ApprovalRule, BlockReason, Command, Facts } from './kind.ts';
import { kindOf } from './kinds.ts';
import { isQuiet, readQuietHours } from './quiet-hours.ts';
import { leastConfidence, LOW_CONFIDENCE, readSafetyPolicy } from './safety-policy.ts';

/** What is decided about a command before anything is written. */
export type Assessment = { warnings: string[] } & (
  | { blocked: BlockReason; rule?: undefined }
  | { blocked?: undefined; rule: ApprovalRule }
);

/** Under this age nothing happens without a person. */
const ADULT_YEARS = 18;

/**
 * Confidence, the blocked list, who must approve, quiet hours; in this order, and the first that blocks ends it.
 * @param command - undefined where the name is not known.
 * @throws BotFailure INVALID_INPUT for a record that the command does not fit, NOT_CONFIGURED for a secret that is not
 * understood.
 */
export function assess(
  given: { command: Command | undefined; name: string; confidence: number },
  facts: Facts,
  secrets: Secrets,
  now: Date
): Assessment {
  const policy = readSafetyPolicy(secrets);
  const quiet = readQuietHours(secrets);
  const { command, name, confidence } = given;
  const warnings = quiet && 'incomplete' in quiet ? ['QUIET_HOURS_INCOMPLETE'] : [];

  if (confidence < leastConfidence(secrets)) {
    return { blocked: 'LOW_CONFIDENCE', warnings };
  }
  if (confidence < LOW_CONFIDENCE) {
    warnings.push('LOW_CONFIDENCE');
  }

  if (command === undefined) {
    return { blocked: blockOfUnknown(name), warnings };
  }
  if (policy.blockedCommands.includes(name)) {
    return { blocked: 'SITE_POLICY', warnings };
  }
  const kind = kindOf(command.name);
  kind.fit?.(command, facts);
  const blocked = kind.blocked?.(command, facts, policy);
  if (blocked) {
    return { blocked, warnings };
  }

  const rule = { ...kind.rule(command, facts, policy) };
  rule.reasons = [...rule.reasons];
  const age = ageInYears(facts.patient, now);
  if (age === undefined) {
    warnings.push('AGE_UNKNOWN');
  } else if (age < ADULT_YEARS) {
    rule.reasons.push('CHILD_PATIENT');
  }
  if (policy.approvalCommands.includes(name)) {
    rule.reasons.push('SITE_POLICY');
  }
  if (rule.reasons.length === 0 && !rule.urgent && quiet && isQuiet(quiet, now)) {
    rule.reasons.push('QUIET_HOURS');
  }
  return { rule, warnings };
}
