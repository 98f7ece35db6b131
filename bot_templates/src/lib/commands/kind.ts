import type { Bundle, BundleEntry, Encounter, Patient, Resource } from '@medplum/fhirtypes';
import type { Fields } from '../fields.ts';
import type { BotRun } from '../run.ts';
import type { SafetyPolicy } from './safety-policy.ts';

/** Everything that can be asked of a patient's record. What is not here is blocked. */
export const COMMAND_NAMES = [
  'FlagAbnormalResult',
  'CreateEncounterNoteDraft',
  'ProposeProblemListUpdate',
  'SuggestBillingCodes',
  'QueueReferralLetter',
  'SuggestMedicationChange',
] as const;
export type CommandName = (typeof COMMAND_NAMES)[number];

/** Who may approve, by role in the clinic. */
export const APPROVER_ROLES = ['practitioner', 'nurse', 'pharmacist', 'billing'] as const;
export type ApproverRole = (typeof APPROVER_ROLES)[number];

/** A command as it is kept: what is approved is this, no more and no less. */
export interface Command<Parameters = unknown> {
  name: CommandName;
  patientId: string;
  encounterId: string | undefined;
  parameters: Parameters;
}

/** Why a command is not carried out whoever would approve it. */
export type BlockReason =
  | 'LOW_CONFIDENCE'
  | 'ALLERGY_CHANGE'
  | 'PRESCRIPTION'
  | 'CONTROLLED_SUBSTANCE'
  | 'CODE_STATUS'
  | 'DISCHARGE'
  | 'DELETION'
  | 'UNKNOWN_COMMAND'
  | 'SITE_POLICY'
  | 'OPEN_TASK_LIMIT'
  | 'IDENTIFIER_TAKEN';

/** Why somebody must approve; shown to the approver. */
export type ApprovalReason =
  | 'ALWAYS'
  | 'NOT_VERIFIED'
  | 'QUIET_HOURS'
  | 'CHILD_PATIENT'
  | 'MEDICATION_START'
  | 'HIGH_RISK_DRUG'
  | 'MAJOR_INTERACTION'
  | 'INTERACTIONS_UNKNOWN'
  | 'SITE_POLICY';

/** Who must approve a command. */
export interface ApprovalRule {
  /** Empty: nobody, the command is carried out at once. */
  reasons: ApprovalReason[];
  /** One of these, or with `dual` every one of these, by different people. */
  roles: ApproverRole[];
  dual: boolean;
  /** After so many hours without approval it is over. */
  hours: number;
  /** Must not wait for the morning. */
  urgent: boolean;
}

/** What was read for a command; everything in it was found to belong to the patient. */
export interface Facts {
  patient: Patient;
  encounter: Encounter | undefined;
  /** By `Type/id`: what the command and its sources name. */
  records: ReadonlyMap<string, Resource>;
  /** What a kind of command reads besides. */
  more: unknown;
}

/** For making the effect of a command. */
export interface EffectContext {
  namespace: string;
  commandId: string;
  /** `Device/id` of the model, the author. */
  device: string;
  facts: Facts;
  /** An instant. */
  now: string;
  /** `Practitioner/id` of those who approved. */
  approvers: readonly string[];
  /** What the kind of command read for it. */
  prepared: unknown;
}

/**
 * One write of an effect, as an entry of a Bundle: a POST with ifNoneExist and a fullUrl `urn:uuid:…`, by which later
 * entries refer to it, or a PUT with ifMatch.
 */
export type Write = BundleEntry & {
  fullUrl: string;
  resource: Resource;
  request: NonNullable<Bundle['entry']>[number]['request'] & { method: 'POST' | 'PUT' };
};

/** What one command means: its parameters, its limits, its effect. Pure, but for `gather` and `prepare`. */
export interface CommandKind<Parameters> {
  /** @throws BotFailure INVALID_INPUT */
  read(fields: Fields): Parameters;
  /** Whether it may be carried out without anybody's approval. */
  automatic?: true;
  /** Whether it is of no use without an encounter. */
  needsEncounter: boolean;
  /** `Type/id` of the records that it names, the encounter apart; each must belong to the patient. */
  references(parameters: Parameters): string[];
  /** `Type/id` of the record that it is about. */
  focus(command: Command<Parameters>): string | undefined;
  /** The record that it changes, whose version is kept with the command. */
  target?(parameters: Parameters): string | undefined;
  /** Reads what else the rules need, for `facts.more`. */
  gather?(run: BotRun, command: Command<Parameters>): Promise<unknown>;
  /** Reads what else the effect needs, for `context.prepared`. */
  prepare?(run: BotRun, command: Command<Parameters>): Promise<unknown>;
  /** @throws BotFailure INVALID_INPUT for a record that the command does not fit. */
  fit?(command: Command<Parameters>, facts: Facts): void;
  blocked?(command: Command<Parameters>, facts: Facts, policy: SafetyPolicy): BlockReason | undefined;
  rule(command: Command<Parameters>, facts: Facts, policy: SafetyPolicy): ApprovalRule;
  /** What it makes or changes, the main type last. */
  makes: Resource['resourceType'][];
  /** The writes that carry it out, in their order; of each type of `makes` one. */
  writes(command: Command<Parameters>, context: EffectContext): Write[];
}

/** A rule by which somebody always approves. */
export function approvalBy(roles: ApproverRole[], hours: number, more: Partial<ApprovalRule> = {}): ApprovalRule {
  return { reasons: ['ALWAYS'], roles, dual: false, hours, urgent: false, ...more };
}
