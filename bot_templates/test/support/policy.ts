import type { AccessPolicyResource } from '@medplum/fhirtypes';
import type { Clinic } from './clinic.ts';
import { readManifest } from './manifest.ts';

/** What a scenario gives with the shipped policy, and without each of its permissions. */
export interface PolicyTrial {
  whole: string;
  /** Permissions whose loss changes nothing that the scenario shows: none should. */
  needless: string[];
}

/**
 * Runs a scenario with a bot's shipped policy, then with each interaction of each of its entries taken away.
 * @param scenario - Does everything the bot can do with records of its own, and tells what came of it in words without
 * ids, so that two runs with the same rights give the same.
 */
export async function tryPolicy(clinic: Clinic, key: string, scenario: () => Promise<unknown>): Promise<PolicyTrial> {
  const { policy } = readManifest().bots[key] as { policy: AccessPolicyResource[] };
  const needless: string[] = [];
  try {
    const whole = JSON.stringify(await scenario());
    for (const [index, rule] of policy.entries()) {
      for (const interaction of rule.interaction ?? []) {
        const left = { ...rule, interaction: rule.interaction?.filter((each) => each !== interaction) ?? [] };
        const others = policy.filter((_, each) => each !== index);
        // An entry without interactions would allow all of them.
        await clinic.setPolicy(key, left.interaction.length === 0 ? others : [...others, left]);
        if (JSON.stringify(await scenario()) === whole) {
          needless.push(`${rule.resourceType} ${interaction}`);
        }
      }
    }
    return { whole, needless };
  } finally {
    await clinic.setPolicy(key, policy);
  }
}
