import type { AccessPolicyResource } from '@medplum/fhirtypes';
import type { Clinic } from './clinic.ts';
import { readManifest } from './manifest.ts';

/** What a scenario gives with the shipped policy, and without each of its permissions. */
export interface PolicyTrial {
  whole: string;
  /** Permissions whose loss changes nothing that the scenario shows: none should. */
  needless: string[];
}

/** Does what a bot can do, step by step, with records of its own, and tells after each step what came of it. */
export type Scenario = () => AsyncIterable<unknown>;

/**
 * Runs a scenario with a bot's shipped policy, then with each interaction of each of its entries taken away, each time
 * as far as the first step that ends differently.
 * @param scenario - Tells without ids what came of a step, so that two runs with the same rights give the same.
 */
export async function tryPolicy(clinic: Clinic, key: string, scenario: Scenario): Promise<PolicyTrial> {
  const { policy } = readManifest().bots[key] as { policy: AccessPolicyResource[] };
  const needless: string[] = [];
  const whole: string[] = [];
  try {
    for await (const step of scenario()) {
      whole.push(JSON.stringify(step));
    }
    for (const [index, rule] of policy.entries()) {
      for (const interaction of rule.interaction ?? []) {
        const left = { ...rule, interaction: rule.interaction?.filter((each) => each !== interaction) ?? [] };
        const others = policy.filter((_, each) => each !== index);
        // An entry without interactions would allow all of them.
        await clinic.setPolicy(key, left.interaction.length === 0 ? others : [...others, left]);
        if (await endsAlike(scenario, whole)) {
          needless.push(`${rule.resourceType} ${interaction}`);
        }
      }
    }
    return { whole: whole.join('\n'), needless };
  } finally {
    await clinic.setPolicy(key, policy);
  }
}

async function endsAlike(scenario: Scenario, whole: readonly string[]): Promise<boolean> {
  let steps = 0;
  for await (const step of scenario()) {
    if (JSON.stringify(step) !== whole[steps]) {
      return false;
    }
    steps++;
  }
  return steps === whole.length;
}
