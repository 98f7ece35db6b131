import type { Claim, ClaimDiagnosis, ClaimItem, Coverage, Encounter, Reference } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import type { Fields, RequiredCoding } from '../fields.ts';
import { searchPage } from '../fhir.ts';
import { approvalBy, type CommandKind } from './kind.ts';
import { create } from './writes.ts';

/** A code that an encounter might be billed by. */
export interface SuggestedCode extends RequiredCoding {
  /** 0 to 1. */
  confidence: number;
  isPrimary: boolean | undefined;
  /** Of two characters each. */
  modifiers: string[] | undefined;
  /** ICD-10 codes of the same command that bear a procedure out. */
  diagnoses: string[] | undefined;
}

/** Drafts a claim of an encounter's diagnoses and procedures, without prices. */
export interface SuggestBillingCodes {
  suggestedCodes: SuggestedCode[];
}

const MOST_CODES = 50;

/** Systems of diagnoses and of procedures, and how a code of each looks. */
const DIAGNOSES: Readonly<Record<string, RegExp>> = {
  // QA0.0101 has a second letter.
  'http://hl7.org/fhir/sid/icd-10-cm': /^[A-Z][0-9A-Z]{2}(?:\.[0-9A-Z]{1,4})?$/,
  'http://hl7.org/fhir/sid/icd-10': /^[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?$/,
};
const PROCEDURES: Readonly<Record<string, RegExp>> = {
  'http://www.ama-assn.org/go/cpt': /^\d{4}[0-9A-Z]$/,
  'https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets': /^[A-V]\d{4}$/,
  'http://terminology.hl7.org/CodeSystem/HCPCS-all-codes': /^[A-V]\d{4}$/,
  'urn:oid:2.16.840.1.113883.6.285': /^[A-V]\d{4}$/,
};

export const suggestBillingCodes: CommandKind<SuggestBillingCodes> = {
  needsEncounter: true,

  read(fields) {
    const given = fields.present('suggestedCodes', fields.objects('suggestedCodes', MOST_CODES));
    const suggestedCodes = given.map(readCode);
    const keys = suggestedCodes.map(({ system, code }) => `${system}|${code}`);
    if (new Set(keys).size < keys.length) {
      throw new BotFailure('INVALID_INPUT', 'suggestedCodes has a code twice', { field: 'suggestedCodes' });
    }
    const diagnoses = suggestedCodes.filter(({ system }) => system in DIAGNOSES).map(({ code }) => code);
    if (suggestedCodes.some((each) => each.diagnoses?.some((code) => !diagnoses.includes(code)))) {
      throw new BotFailure('INVALID_INPUT', 'diagnoses names a code that is not among suggestedCodes', {
        field: 'suggestedCodes',
      });
    }
    return { suggestedCodes };
  },

  references: () => [],
  focus: ({ encounterId }) => `Encounter/${encounterId}`,
  rule: () => approvalBy(['practitioner', 'billing'], 7 * 24),

  /** The patient's insurance, which a Claim names even as a draft. */
  async prepare(run, { patientId }): Promise<Coverage | undefined> {
    const page = await searchPage<Coverage>(
      run.medplum,
      'Coverage',
      `beneficiary=Patient/${patientId}&status=active&_count=1&_sort=-_lastUpdated`,
      'DB_ERROR'
    );
    return page.entry?.[0]?.resource;
  },

  makes: ['Claim'],

  writes({ parameters, patientId, encounterId }, context) {
    const { facts } = context;
    const coverage = context.prepared as Coverage | undefined;
    const diagnosis = parameters.suggestedCodes.filter(({ system }) => system in DIAGNOSES).map(diagnosisOf);
    const sequences = new Map(
      diagnosis.map((each) => [each.diagnosisCodeableConcept?.coding?.[0]?.code, each.sequence] as const)
    );
    const procedures = parameters.suggestedCodes.filter(({ system }) => system in PROCEDURES);
    const claim: Claim = {
      resourceType: 'Claim',
      status: 'draft',
      type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/claim-type', code: 'professional' }] },
      use: 'claim',
      patient: { reference: `Patient/${patientId}` },
      created: context.now,
      provider: providerOf(facts.encounter, context.approvers),
      priority: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/processpriority', code: 'normal' }] },
      insurance: [
        {
          sequence: 1,
          focal: true,
          coverage: coverage ? { reference: `Coverage/${coverage.id}` } : { display: 'No coverage is on record' },
        },
      ],
      ...(diagnosis.length === 0 ? {} : { diagnosis }),
      ...(procedures.length === 0
        ? {}
        : { item: procedures.map((each, index) => itemOf(each, index + 1, sequences, encounterId as string)) }),
      ...(procedures.length === 0
        ? {
            // Without an item nothing else of a Claim names its encounter.
            extension: [
              {
                url: `${context.namespace}/claim-encounter`,
                valueReference: { reference: `Encounter/${encounterId}` },
              },
            ],
          }
        : {}),
    };
    return [create(context, claim)];
  },
};

function readCode(fields: Fields): SuggestedCode {
  const suggested: SuggestedCode = {
    system: fields.present('system', fields.text('system', 200)),
    code: fields.present('code', fields.text('code', 64)),
    ...optional('display', fields.text('display', 300)),
    confidence: fields.present('confidence', fields.number('confidence', 0, 1)),
    isPrimary: fields.boolean('isPrimary'),
    modifiers: fields.texts('modifiers', 4, 2),
    diagnoses: fields.texts('diagnoses', 12, 10),
  };
  fields.done();
  const form = DIAGNOSES[suggested.system] ?? PROCEDURES[suggested.system];
  if (form === undefined || !form.test(suggested.code)) {
    throw new BotFailure('INVALID_INPUT', 'suggestedCodes must be of ICD-10-CM, CPT or HCPCS, in the form of that system', {
      field: 'suggestedCodes',
    });
  }
  return suggested;
}

function diagnosisOf({ system, code, display, isPrimary }: SuggestedCode, index: number): ClaimDiagnosis {
  return {
    sequence: index + 1,
    diagnosisCodeableConcept: { coding: [{ system, code, ...optional('display', display) }] },
    ...(isPrimary
      ? {
          type: [
            { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/ex-diagnosistype', code: 'principal' }] },
          ],
        }
      : {}),
  };
}

function itemOf(
  { system, code, display, modifiers, diagnoses }: SuggestedCode,
  sequence: number,
  sequences: ReadonlyMap<string | undefined, number>,
  encounterId: string
): ClaimItem {
  const supported = (diagnoses ?? []).map((each) => sequences.get(each)).filter((each) => each !== undefined);
  return {
    sequence,
    productOrService: { coding: [{ system, code, ...optional('display', display) }] },
    ...(modifiers ? { modifier: modifiers.map((each) => ({ coding: [{ code: each }] })) } : {}),
    ...(supported.length > 0 ? { diagnosisSequence: supported } : {}),
    encounter: [{ reference: `Encounter/${encounterId}` }],
  };
}

/** Who treated the patient, else the organisation, else who approved. */
function providerOf(encounter: Encounter | undefined, approvers: readonly string[]): Claim['provider'] {
  const individuals = (encounter?.participant ?? []).map(({ individual }) => individual?.reference);
  const treated = individuals.find((each) => /^Practitioner(?:Role)?\//.test(each ?? ''));
  const reference = treated ?? encounter?.serviceProvider?.reference ?? approvers[0];
  return { reference } as Reference as Claim['provider'];
}

function optional<K extends string>(name: K, value: string | undefined): { [key in K]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { [key in K]?: string };
}
