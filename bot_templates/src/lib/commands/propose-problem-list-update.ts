import type { CodeableConcept, Condition } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import type { RequiredCoding } from '../fields.ts';
import { conceptText } from '../record/datatypes.ts';
import { approvalBy, type Command, type CommandKind, type Facts } from './kind.ts';
import { touchesAllergies, touchesCodeStatus } from './forbidden-concepts.ts';
import { create, update } from './writes.ts';

/** Adds a problem, gives one another code, or says that one is over. */
export interface ProposeProblemListUpdate {
  action: 'add' | 'update' | 'resolve';
  condition: RequiredCoding | undefined;
  conditionId: string | undefined;
  note: string | undefined;
}

const CLINICAL = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const VERIFICATION = 'http://terminology.hl7.org/CodeSystem/condition-ver-status';
const PROVISIONAL = concept(VERIFICATION, 'provisional', 'Provisional');

/** Verification statuses of a condition that is not to be touched. */
const VOID = ['entered-in-error', 'refuted'];
const OVER = ['resolved', 'inactive', 'remission'];

export const proposeProblemListUpdate: CommandKind<ProposeProblemListUpdate> = {
  needsEncounter: false,

  read(fields) {
    const action = fields.present('action', fields.oneOf('action', ['add', 'update', 'resolve'] as const));
    const condition = fields.coding('condition');
    const conditionId = fields.id('conditionId', 'Condition');
    const note = fields.text('note', 2_000);
    if (action !== 'resolve') {
      fields.present('condition', condition);
    }
    if (action !== 'add') {
      fields.present('conditionId', conditionId);
    } else if (conditionId !== undefined) {
      throw new BotFailure('INVALID_INPUT', 'conditionId is for update and resolve', { field: 'conditionId' });
    }
    return { action, condition, conditionId, note };
  },

  references: ({ conditionId }) => (conditionId === undefined ? [] : [`Condition/${conditionId}`]),
  target: ({ conditionId }) => (conditionId === undefined ? undefined : `Condition/${conditionId}`),
  focus: ({ parameters: { conditionId } }) => (conditionId === undefined ? undefined : `Condition/${conditionId}`),

  fit(command, facts) {
    const current = currentOf(command, facts);
    const { action, condition } = command.parameters;
    if (current === undefined) {
      return;
    }
    if (hasCode(current.verificationStatus, VERIFICATION, VOID)) {
      throw new BotFailure('INVALID_INPUT', 'The Condition is entered in error or refuted', { field: 'conditionId' });
    }
    if (action === 'resolve' && hasCode(current.clinicalStatus, CLINICAL, OVER)) {
      throw new BotFailure('INVALID_INPUT', 'The Condition is not active', { field: 'conditionId' });
    }
    const same = (current.code?.coding ?? []).some(
      ({ system, code }) => system === condition?.system && code === condition?.code
    );
    if (action === 'resolve' && condition !== undefined && !same) {
      throw new BotFailure('INVALID_INPUT', 'condition is not what the Condition says', { field: 'condition' });
    }
  },

  /** The problem list is not the way around the lists of allergies and of code status. */
  blocked(command, facts) {
    const concepts = [{ coding: [command.parameters.condition ?? {}] }, currentOf(command, facts)?.code];
    if (concepts.some(touchesAllergies)) {
      return 'ALLERGY_CHANGE';
    }
    return concepts.some(touchesCodeStatus) ? 'CODE_STATUS' : undefined;
  },

  rule: () => approvalBy(['practitioner'], 48),

  makes: ['Condition'],

  writes(command, context) {
    const { action, condition, note } = command.parameters;
    const current = currentOf(command, context.facts);
    const notes = note === undefined ? [] : [{ text: note, time: context.now }];
    const code = condition && { coding: [condition], text: condition.display ?? conceptText({ coding: [condition] }) ?? '' };
    if (current === undefined) {
      const added: Condition = {
        resourceType: 'Condition',
        clinicalStatus: concept(CLINICAL, 'active', 'Active'),
        verificationStatus: PROVISIONAL,
        category: [
          concept('http://terminology.hl7.org/CodeSystem/condition-category', 'problem-list-item', 'Problem List Item'),
        ],
        code: code as CodeableConcept,
        subject: { reference: `Patient/${command.patientId}` },
        ...(command.encounterId === undefined ? {} : { encounter: { reference: `Encounter/${command.encounterId}` } }),
        recordedDate: context.now,
        ...(notes.length === 0 ? {} : { note: notes }),
      };
      return [create(context, added)];
    }
    const changed: Condition = {
      ...current,
      ...(action === 'resolve'
        ? { clinicalStatus: concept(CLINICAL, 'resolved', 'Resolved') }
        : { code: code as CodeableConcept, verificationStatus: PROVISIONAL }),
      ...(notes.length === 0 ? {} : { note: [...(current.note ?? []), ...notes] }),
    };
    return [update(context, changed, current.meta?.versionId as string)];
  },
};

function currentOf(command: Command<ProposeProblemListUpdate>, facts: Facts): Condition | undefined {
  return facts.records.get(`Condition/${command.parameters.conditionId}`) as Condition | undefined;
}

function hasCode(value: CodeableConcept | undefined, system: string, codes: readonly string[]): boolean {
  return (value?.coding ?? []).some((each) => each.system === system && codes.includes(each.code ?? ''));
}

function concept(system: string, code: string, display: string): CodeableConcept {
  return { coding: [{ system, code, display }] };
}
