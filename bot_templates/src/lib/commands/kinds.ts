import { createEncounterNoteDraft } from './create-encounter-note-draft.ts';
import { flagAbnormalResult } from './flag-abnormal-result.ts';
import type { CommandKind, CommandName } from './kind.ts';
import { proposeProblemListUpdate } from './propose-problem-list-update.ts';
import { queueReferralLetter } from './queue-referral-letter.ts';
import { suggestBillingCodes } from './suggest-billing-codes.ts';
import { suggestMedicationChange } from './suggest-medication-change.ts';

const KINDS = {
  FlagAbnormalResult: flagAbnormalResult,
  CreateEncounterNoteDraft: createEncounterNoteDraft,
  ProposeProblemListUpdate: proposeProblemListUpdate,
  SuggestBillingCodes: suggestBillingCodes,
  QueueReferralLetter: queueReferralLetter,
  SuggestMedicationChange: suggestMedicationChange,
} as const;

/** What a command means. Its parameters are those that its own `read` gave. */
export function kindOf(name: CommandName): CommandKind<unknown> {
  return KINDS[name] as unknown as CommandKind<unknown>;
}
