import type { CodeableConcept, MedicationRequest, MedicationStatement } from '@medplum/fhirtypes';
import { type Chart, readChart } from '../chart/chart.ts';
import { medicationOf } from '../chart/fact.ts';
import { Ingredients } from '../decision/ingredients.ts';
import { checkDrug } from '../decision/interaction-check.ts';
import { takenOf } from '../decision/medications.ts';
import { type DecisionRules, shippedRules } from '../decision/rules.ts';
import { BotFailure } from '../failure.ts';
import type { Fields, RequiredCoding } from '../fields.ts';
import { isUuid, parseReference } from '../ids.ts';
import { isControlled, isHighRisk } from './drugs.ts';
import type { ApprovalReason, Command, CommandKind, Facts } from './kind.ts';
import { create } from './writes.ts';

/** Drafts a change of what a patient takes; never more than a draft, and never an order. */
export interface SuggestMedicationChange {
  action: 'start' | 'change' | 'stop';
  medication: RequiredCoding & { display: string };
  rationale: string;
  dosage: string | undefined;
  /** `MedicationRequest/id` or `MedicationStatement/id`. */
  currentMedicationId: string | undefined;
  /** What the caller would have the request be, where it says so. */
  status: string | undefined;
  intent: string | undefined;
}

type Current = MedicationRequest | MedicationStatement;

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const ACTIVE = ['active', 'on-hold', 'intended'];
/** Letters of other scripts look like Latin ones, and then a name is not what it seems. */
const LATIN = /^[\p{Script=Latin}\p{M}\p{N}\p{P}\p{S}\p{Zs}\u00b5\u03bc]+$/u;

export const suggestMedicationChange: CommandKind<SuggestMedicationChange> = {
  needsEncounter: false,

  read(fields) {
    const action = fields.present('action', fields.oneOf('action', ['start', 'change', 'stop'] as const));
    const medication = readMedication(fields);
    const currentMedicationId = readCurrent(fields);
    if ((action === 'start') !== (currentMedicationId === undefined)) {
      throw new BotFailure('INVALID_INPUT', 'currentMedicationId is needed to change or stop, and not to start', {
        field: 'currentMedicationId',
      });
    }
    return {
      action,
      medication,
      rationale: fields.present('rationale', fields.text('rationale', 2_000)),
      dosage: fields.text('dosage', 500),
      currentMedicationId,
      status: fields.text('status', 40),
      intent: fields.text('intent', 40),
    };
  },

  references: ({ currentMedicationId }) => (currentMedicationId === undefined ? [] : [currentMedicationId]),
  target: ({ currentMedicationId }) => currentMedicationId,
  focus: ({ parameters }) => parameters.currentMedicationId,

  /** What else the patient takes. */
  gather: (run, { patientId }): Promise<Chart> =>
    readChart(run, patientId, ['medicationRequests', 'medicationStatements'], 'DB_ERROR'),

  fit(command, facts) {
    const current = currentOf(command, facts);
    if (current && !ACTIVE.includes(current.status ?? '')) {
      throw new BotFailure('INVALID_INPUT', 'The current medication is not active', { field: 'currentMedicationId' });
    }
    if (current && command.parameters.action === 'stop' && !isSameDrug(command.parameters.medication, currentDrug(current, facts))) {
      throw new BotFailure('INVALID_INPUT', 'medication is not what the current medication holds', {
        field: 'medication',
      });
    }
  },

  blocked(command, facts, policy) {
    const { status, intent, medication, dosage } = command.parameters;
    if ((status ?? 'draft') !== 'draft' || (intent ?? 'proposal') !== 'proposal') {
      return 'PRESCRIPTION';
    }
    const current = currentOf(command, facts);
    // A dosage is a text, and a text can name another drug than the code does.
    const proposed: CodeableConcept = { coding: [medication], ...(dosage === undefined ? {} : { text: dosage }) };
    const drugs = [proposed, current && currentDrug(current, facts)];
    return drugs.some((drug) => isControlled(drug, policy.controlledSubstances)) ? 'CONTROLLED_SUBSTANCE' : undefined;
  },

  rule(command, facts, policy) {
    const { action, medication } = command.parameters;
    const current = currentOf(command, facts);
    const drugs = [{ coding: [medication] }, current && currentDrug(current, facts)];
    const reasons: ApprovalReason[] = [];
    if (action === 'start') {
      reasons.push('MEDICATION_START');
    }
    if (drugs.some((drug) => isHighRisk(drug, policy.highRiskDrugs))) {
      reasons.push('HIGH_RISK_DRUG');
    }
    if (action !== 'stop') {
      reasons.push(...interactionReasons(command, facts, policy.decisionRules));
    }
    const dual = reasons.length > 0;
    return {
      reasons: dual ? reasons : ['ALWAYS'],
      roles: dual ? ['practitioner', 'pharmacist'] : ['practitioner'],
      dual,
      hours: 24,
      urgent: false,
    };
  },

  makes: ['MedicationRequest'],

  writes(command, context) {
    const { action, medication, rationale, dosage, currentMedicationId } = command.parameters;
    const prior = currentMedicationId?.startsWith('MedicationRequest/');
    const request: MedicationRequest = {
      resourceType: 'MedicationRequest',
      status: 'draft',
      intent: 'proposal',
      ...(action === 'stop' ? { doNotPerform: true } : {}),
      medicationCodeableConcept: { coding: [medication], text: medication.display },
      subject: { reference: `Patient/${command.patientId}` },
      ...(command.encounterId === undefined ? {} : { encounter: { reference: `Encounter/${command.encounterId}` } }),
      authoredOn: context.now,
      requester: { reference: context.device },
      reasonCode: [{ text: rationale }],
      ...(dosage === undefined ? {} : { dosageInstruction: [{ text: dosage }] }),
      ...(currentMedicationId !== undefined && prior ? { priorPrescription: { reference: currentMedicationId } } : {}),
      ...(currentMedicationId !== undefined && !prior
        ? { supportingInformation: [{ reference: currentMedicationId }] }
        : {}),
    };
    return [create(context, request)];
  },
};

function readMedication(fields: Fields): SuggestMedicationChange['medication'] {
  const medication = fields.present('medication', fields.coding('medication'));
  const { system, code, display } = medication;
  if (system !== RXNORM || !/^\d{1,8}$/.test(code) || display === undefined || !LATIN.test(display)) {
    throw new BotFailure('INVALID_INPUT', 'medication must be of RxNorm, with its name in Latin letters', {
      field: 'medication',
    });
  }
  return { system, code, display };
}

/** A bare id is that of a MedicationRequest. */
function readCurrent(fields: Fields): string | undefined {
  const text = fields.text('currentMedicationId', 120);
  const reference = isUuid(text) ? { resourceType: 'MedicationRequest', id: text } : parseReference(text);
  if (text === undefined) {
    return undefined;
  }
  if (!reference || !isUuid(reference.id) || !['MedicationRequest', 'MedicationStatement'].includes(reference.resourceType)) {
    throw new BotFailure('INVALID_INPUT', 'currentMedicationId must be a MedicationRequest or MedicationStatement', {
      field: 'currentMedicationId',
    });
  }
  return `${reference.resourceType}/${reference.id.toLowerCase()}`;
}

/**
 * A major interaction, and whatever keeps one from being ruled out. By the site's rules and by those that ship: a rule
 * that the site switched off is one alert less, and no reason to let one person alone decide.
 */
function interactionReasons(
  command: Command<SuggestMedicationChange>,
  facts: Facts,
  ofSite: DecisionRules
): ApprovalReason[] {
  const chart = facts.more as Chart;
  const others = [...chart.medicationRequests, ...chart.medicationStatements].filter(
    (each) => `${each.resourceType}/${each.id}` !== command.parameters.currentMedicationId
  );
  const checks = [ofSite, shippedRules()].map((rules) => {
    const taken = takenOf(others, chart.medications, new Ingredients(rules));
    return checkDrug({ coding: [command.parameters.medication] }, taken, rules);
  });
  const major = checks.some(({ interactions }) => interactions.some(({ severity }) => severity === 'high'));
  // What the site added is known, though the tables that ship do not have it.
  const unknown = checks[0]?.incomplete || chart.unreadable.length > 0 || chart.incomplete.length > 0;
  return [...(major ? (['MAJOR_INTERACTION'] as const) : []), ...(unknown ? (['INTERACTIONS_UNKNOWN'] as const) : [])];
}

function currentOf(command: Command<SuggestMedicationChange>, facts: Facts): Current | undefined {
  const { currentMedicationId } = command.parameters;
  return currentMedicationId === undefined ? undefined : (facts.records.get(currentMedicationId) as Current | undefined);
}

/** What the current medication holds, wherever that is said. */
function currentDrug(current: Current, facts: Facts): CodeableConcept {
  const medication = medicationOf(current, (facts.more as Chart).medications);
  const concepts: (CodeableConcept | undefined)[] = [
    current.medicationCodeableConcept,
    medication?.code,
    ...(medication?.ingredient ?? []).map(({ itemCodeableConcept }) => itemCodeableConcept),
    current.medicationReference?.display === undefined ? undefined : { text: current.medicationReference.display },
  ];
  const texts = concepts.map((each) => each?.text).filter((text) => text !== undefined);
  return { coding: concepts.flatMap((each) => each?.coding ?? []), text: texts.join('; ') };
}

/** By code, by name, or by what both hold. */
function isSameDrug(medication: RequiredCoding & { display: string }, current: CodeableConcept): boolean {
  const ingredients = new Ingredients(shippedRules());
  const one = ingredients.ofConcept({ coding: [medication] }).ingredients;
  const other = ingredients.ofConcept(current).ingredients;
  return (
    (current.coding ?? []).some(({ system, code }) => system === medication.system && code === medication.code) ||
    (one.length > 0 && one.join() === other.join())
  );
}
