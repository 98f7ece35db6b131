import { asFailure, BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import { sha256 } from '../hash.ts';
import { isObject } from '../input.ts';
import type { Secrets } from '../secrets.ts';
import { type DecisionRules, type SiteChanges, shippedRules } from './rules.ts';
import { withAllergies, withDrugs, withDuplicates, withInteractions } from './site-drugs.ts';
import { withCritical, withPreventive } from './site-limits.ts';
import { NAME } from './site-parts.ts';

/** What the commands' part of the same secret is called. */
const OF_COMMANDS = ['blockedCommands', 'approvalCommands', 'controlledSubstances', 'highRiskDrugs'];

/**
 * The rules that ship, with what the site adds, changes or switches off: the part `decisionSupport` of the project
 * secret SAFETY_POLICY, a JSON object.
 * @throws BotFailure NOT_CONFIGURED, naming the field: rules that are half understood must not decide.
 */
export function readDecisionRules(secrets: Secrets): DecisionRules {
  const text = secrets.optional('SAFETY_POLICY');
  if (text === undefined) {
    return shippedRules();
  }
  try {
    const fields = new Fields(parsed(text));
    const policy = fields.object('decisionSupport');
    for (const name of OF_COMMANDS) {
      fields.ignore(name);
    }
    fields.done();
    return policy === undefined ? shippedRules() : withSite(policy, sha256(text));
  } catch (error) {
    const { message, details } = asFailure(error, 'NOT_CONFIGURED');
    throw new BotFailure('NOT_CONFIGURED', `The project secret SAFETY_POLICY: ${message}`, {
      secret: 'SAFETY_POLICY',
      ...details,
    });
  }
}

function parsed(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BotFailure('NOT_CONFIGURED', 'it is no JSON');
  }
  if (!isObject(value)) {
    throw new BotFailure('NOT_CONFIGURED', 'it must be a JSON object');
  }
  return value;
}

function withSite(policy: Fields, hash: string): DecisionRules {
  const rules = shippedRules();
  const site: SiteChanges = {
    id: policy.present('id', policy.text('id', NAME)),
    sha256: hash,
    added: 0,
    changed: 0,
    switchedOff: 0,
  };
  const drugs = withDrugs(rules, policy.object('ingredients'), site);
  const changed: DecisionRules = {
    ...drugs,
    ruleset: { ...rules.ruleset, site },
    ...withInteractions(drugs, policy.object('interactions'), site),
    ...withDuplicates(drugs, policy.object('duplicates'), site),
    ...withAllergies(drugs, policy.object('allergies'), site),
    ...withCritical(drugs, policy.object('critical'), site),
    ...withPreventive(drugs, policy.object('preventive'), site),
  };
  policy.done();
  return changed;
}
