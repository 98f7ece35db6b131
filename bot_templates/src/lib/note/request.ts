import { BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import type { BotInput } from '../input.ts';
import { DOCUMENTATION_TYPES, type DocumentationType } from './document-types.ts';

export const FORMATS = ['markdown', 'text'] as const;
export type Format = (typeof FORMATS)[number];

/** The clinician's own words, to the letter. */
export interface ClinicianInput {
  subjective: string | undefined;
  exam: string | undefined;
  assessment: string | undefined;
  plan: string | undefined;
}

/** FHIR's priorities of a request. */
export const URGENCIES = ['routine', 'urgent', 'asap', 'stat'] as const;

export interface Referral {
  specialty: string;
  urgency: (typeof URGENCIES)[number];
  reason: string | undefined;
}

/** What the bot was asked to draft. */
export interface DraftRequest {
  patientId: string;
  encounterId: string;
  type: DocumentationType;
  format: Format;
  saveDraft: boolean;
  clinician: ClinicianInput;
  include: { medications: boolean; vitals: boolean; labs: boolean; allergies: boolean };
  referral: Referral | undefined;
}

/** Longest text that a clinician gives for one section, in UTF-16 units. */
export const CLINICIAN_TEXT = 10_000;

/** @throws BotFailure INVALID_INPUT */
export function readRequest(input: BotInput): DraftRequest {
  if (input.kind !== 'command') {
    throw new BotFailure('INVALID_INPUT', 'The input must say what to draft, not be a resource');
  }
  const fields = new Fields(input.fields);
  const request: DraftRequest = {
    patientId: fields.present('patientId', fields.id('patientId', 'Patient')),
    encounterId: fields.present('encounterId', fields.id('encounterId', 'Encounter')),
    type: fields.present('documentationType', fields.oneOf('documentationType', DOCUMENTATION_TYPES)),
    format: fields.oneOf('format', FORMATS) ?? 'markdown',
    saveDraft: fields.boolean('saveDraft') ?? false,
    clinician: readClinicianInput(fields.object('clinicianInput')),
    include: {
      medications: fields.boolean('includeMedications') ?? true,
      vitals: fields.boolean('includeVitals') ?? true,
      labs: fields.boolean('includeLabResults') ?? true,
      allergies: fields.boolean('includeAllergies') ?? true,
    },
    referral: readReferral(fields.object('referralDetails')),
  };
  fields.done();
  if ((request.type === 'referral') !== (request.referral !== undefined)) {
    throw new BotFailure('INVALID_INPUT', 'A referral needs referralDetails, and no other document takes them', {
      field: 'referralDetails',
    });
  }
  return request;
}

function readClinicianInput(fields: Fields | undefined): ClinicianInput {
  const input = {
    subjective: fields?.verbatim('subjective', CLINICIAN_TEXT),
    exam: fields?.verbatim('exam', CLINICIAN_TEXT),
    assessment: fields?.verbatim('assessment', CLINICIAN_TEXT),
    plan: fields?.verbatim('plan', CLINICIAN_TEXT),
  };
  fields?.done();
  return input;
}

function readReferral(fields: Fields | undefined): Referral | undefined {
  if (fields === undefined) {
    return undefined;
  }
  const referral = {
    specialty: fields.present('specialty', fields.text('specialty', 200)),
    urgency: fields.present('urgency', fields.oneOf('urgency', URGENCIES)),
    reason: fields.verbatim('reason', 2_000),
  };
  fields.done();
  return referral;
}
