import type { Flag, Observation } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import type { Fields, RequiredCoding } from '../fields.ts';
import { ageInYears } from '../patient.ts';
import { conceptWords } from '../record/datatypes.ts';
import { criticalLimits } from './critical-limits.ts';
import type { Command, CommandKind, Facts } from './kind.ts';
import { type Abnormality, INTERPRETATION_SYSTEM, INTERPRETATIONS, isBorneOut } from './verified.ts';
import { create } from './writes.ts';

/** Marks a result that is out of its range, for everybody who opens the patient's record. */
export interface FlagAbnormalResult {
  observationId: string;
  severity: 'abnormal' | 'critical';
  interpretation: RequiredCoding;
}

/** Statuses under which there is no result to flag. */
const NO_RESULT = ['entered-in-error', 'cancelled', 'registered'];

export const flagAbnormalResult: CommandKind<FlagAbnormalResult> = {
  automatic: true,
  needsEncounter: false,

  read(fields: Fields): FlagAbnormalResult {
    const parameters = {
      observationId: fields.present('observationId', fields.id('observationId', 'Observation')),
      severity: fields.present('severity', fields.oneOf('severity', ['abnormal', 'critical'] as const)),
      interpretation: fields.present('interpretation', fields.coding('interpretation')),
    };
    const { system, code } = parameters.interpretation;
    if (system !== INTERPRETATION_SYSTEM || !Object.hasOwn(INTERPRETATIONS, code)) {
      throw new BotFailure('INVALID_INPUT', 'interpretation must say in v3-ObservationInterpretation what is abnormal', {
        field: 'interpretation',
      });
    }
    // One spelling: a display is the caller's text, and the flag shows ours.
    return { ...parameters, interpretation: { system, code } };
  },

  references: ({ observationId }) => [`Observation/${observationId}`],
  focus: ({ parameters }) => `Observation/${parameters.observationId}`,

  fit(command, facts) {
    if (NO_RESULT.includes(observationOf(command, facts).status)) {
      throw new BotFailure('INVALID_INPUT', 'The Observation has no result that stands', { field: 'observationId' });
    }
  },

  rule(command, facts, policy) {
    const claim = claimOf(command.parameters);
    const limits = criticalLimits(policy.decisionRules.critical, ageInYears(facts.patient));
    const verified = isBorneOut(claim, observationOf(command, facts), limits);
    return {
      reasons: verified ? [] : ['NOT_VERIFIED'],
      roles: ['practitioner', 'nurse'],
      dual: false,
      hours: 24,
      urgent: verified && claim.level === 'critical',
    };
  },

  makes: ['Flag'],

  writes(command, context) {
    const { parameters, patientId, encounterId } = command;
    const claim = claimOf(parameters);
    const name = conceptWords([observationOf(command, context.facts).code]) ?? 'result';
    const display = INTERPRETATIONS[parameters.interpretation.code]?.display as string;
    const flag: Flag = {
      resourceType: 'Flag',
      status: 'active',
      category: [
        {
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/flag-category', code: 'lab', display: 'Lab' }],
        },
      ],
      code: {
        coding: [{ ...parameters.interpretation, display }],
        text: `${display}: ${name}`,
      },
      subject: { reference: `Patient/${patientId}` },
      ...(encounterId === undefined ? {} : { encounter: { reference: `Encounter/${encounterId}` } }),
      period: { start: context.now },
      author: { reference: context.device },
      extension: [
        {
          url: 'http://hl7.org/fhir/StructureDefinition/flag-detail',
          valueReference: { reference: `Observation/${parameters.observationId}` },
        },
        {
          url: 'http://hl7.org/fhir/StructureDefinition/flag-priority',
          valueCodeableConcept: {
            coding: [
              {
                system: 'http://hl7.org/fhir/flag-priority-code',
                ...(claim.level === 'critical'
                  ? { code: 'PH', display: 'High priority' }
                  : { code: 'PM', display: 'Medium priority' }),
              },
            ],
          },
        },
      ],
    };
    return [create(context, flag)];
  },
};

/** The graver of the severity and what the interpretation code says: HH claims critical whatever else is said. */
function claimOf({ severity, interpretation }: FlagAbnormalResult): Abnormality {
  const { level, direction } = INTERPRETATIONS[interpretation.code] as Abnormality;
  return { level: severity === 'critical' ? 'critical' : level, direction };
}

function observationOf(command: Command<FlagAbnormalResult>, facts: Facts): Observation {
  return facts.records.get(`Observation/${command.parameters.observationId}`) as Observation;
}
