import type { AllergyIntolerance, Condition, Observation, Patient } from '@medplum/fhirtypes';
import { readChart } from '../chart/chart.ts';
import { type Charted, factOf } from '../chart/fact.ts';
import { AI_LABEL } from '../commands/label.ts';
import { BotFailure } from '../failure.ts';
import { askModel, type Prompt } from '../model/chat.ts';
import { type CitedSentence, citedSentences, ground, reasonToDrop, unsupportedNumbers } from '../model/grounding.ts';
import type { JsonSchema } from '../model/json-schema.ts';
import { Sources } from '../model/sources.ts';
import { ageInYears } from '../patient.ts';
import type { BotRun } from '../run.ts';

/** A diagnosis to consider, as a model suggests it. */
export interface Differential {
  condition: string;
  /** What of the record speaks for it. */
  reasoning: { text: string; citations: { source: string; date: string | null }[] }[];
  aiGenerated: true;
  label: string;
  security: typeof AI_LABEL;
}

export interface Differentials {
  differentials: Differential[];
  /** As the router names it; undefined where no model answered. */
  model: string | undefined;
  warnings: string[];
}

/** What stands beside every suggestion. */
export const SUGGESTION =
  'Suggested by an AI model from the cited records; not a diagnosis, not ranked, and not complete. A clinician decides.';

const MOST = 3;
/** Resources of one kind that the model is shown. */
const MOST_FACTS = 40;

export const PROMPT: Prompt = {
  id: 'clinical-differential',
  version: '1',
  system: `You help a clinician to think of diagnoses that a patient's record may point to.
Name at most three conditions to consider, each by its usual medical name, without codes, numbers or brackets. For each give one to four sentences that say which findings of the sources speak for it. Name a condition only if findings of the sources speak for it; an empty list is a good answer.
Give no probability, no urgency, no severity, no treatment, no drug, no order and no advice. Do not repeat a condition that the record lists as known.`,
};

/** The JSON schema of the model's answer. */
export const SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    differentials: {
      type: 'array',
      maxItems: MOST,
      description: 'Conditions to consider; empty when the sources point to none.',
      items: {
        type: 'object',
        properties: {
          condition: { type: 'string', maxLength: 100, description: 'Usual medical name of the condition.' },
          reasoning: citedSentences(4, 'Findings of the sources that speak for it.'),
        },
        required: ['condition', 'reasoning'],
        additionalProperties: false,
      },
    },
  },
  required: ['differentials'],
  additionalProperties: false,
};

interface Answered {
  differentials: { condition: string; reasoning: CitedSentence[] }[];
}

/**
 * Asks the model what else to think of. Without it the rest of the decision stands: the warnings say why it is missing.
 * @param chiefComplaint - The clinician's words, a claim like the record's.
 */
export async function differentialsFor(
  run: BotRun,
  patient: Patient,
  chiefComplaint: string | undefined
): Promise<Differentials> {
  const sources = await sourcesOf(run, patient, chiefComplaint);
  if (sources.all.length === 0) {
    return { differentials: [], model: undefined, warnings: ['NO_CONTEXT'] };
  }
  sources.add(patientPassage(patient));
  try {
    const question = 'Which conditions do the chief complaint and the record point to?';
    const schema = { name: 'differentials', schema: SCHEMA };
    const { value, model } = await askModel<Answered>(run, {
      task: 'clinical_decision',
      prompt: PROMPT,
      sources,
      question,
      schema,
    });
    const warnings = new Set(sources.warnings);
    const differentials = value.differentials.flatMap((each) => grounded(each, sources, warnings));
    return { differentials, model, warnings: [...warnings] };
  } catch (error) {
    if (!(error instanceof BotFailure)) {
      throw error;
    }
    const down = error.code === 'LLM_ERROR' || error.code === 'LLM_ROUTER_ERROR';
    return {
      differentials: [],
      model: undefined,
      warnings: [...sources.warnings, ...(down ? ['LLM_UNAVAILABLE'] : ['LLM_UNAVAILABLE', error.code])],
    };
  }
}

/** A suggestion with what of its reasoning the sources bear out; none where nothing is left. */
function grounded(given: Answered['differentials'][0], sources: Sources, warnings: Set<string>): Differential[] {
  const { kept, warnings: dropped } = ground(given.reasoning, sources);
  for (const warning of dropped) {
    warnings.add(warning);
  }
  const condition = given.condition.replace(/\s+/g, ' ').trim();
  const reason = conditionProblem(
    condition,
    kept.flatMap((sentence) => sentence.sources)
  );
  if (kept.length === 0 || reason !== undefined) {
    warnings.add(reason ?? 'UNSUPPORTED_SUGGESTION');
    return [];
  }
  const reasoning = kept.map(({ text, sources: cited }) => ({
    text,
    citations: cited.map(({ reference, date }) => ({ source: reference, date: date ?? null })),
  }));
  return [{ condition, reasoning, aiGenerated: true, label: SUGGESTION, security: AI_LABEL }];
}

/** Numbers that are part of a disease's name. */
const NAMED_NUMBERS = /\btype [12]\b|\bcovid-?19\b|\bvitamin b-?12\b/gi;

/** Words of an order; a name has none. */
const ORDER =
  /\b(?:start|stop|give|administer|prescribe|increase|decrease|order|refer|discharge|admit|transfuse|call|delete|approve|ignore|send|must|should|urgent|immediately)\b/i;

/**
 * Why a condition's name may not be shown. It comes from the model's knowledge, not from a source, so it may hold
 * nothing but a name: no code, figure, link, order or sentence.
 */
function conditionProblem(condition: string, cited: Sources['all']): string | undefined {
  const bare = condition.replace(NAMED_NUMBERS, ' ');
  if (!/^[\p{L}\p{M}][\p{L}\p{M}\p{N}' ,()/-]{2,99}$/u.test(condition) || unsupportedNumbers(bare, '').length > 0) {
    return 'UNSUPPORTED_SUGGESTION';
  }
  return ORDER.test(condition) || reasonToDrop(condition, cited) === 'UNSAFE_TEXT' ? 'UNSAFE_TEXT' : undefined;
}

async function sourcesOf(run: BotRun, patient: Patient, chiefComplaint: string | undefined): Promise<Sources> {
  const sources = new Sources();
  if (chiefComplaint !== undefined) {
    sources.add({
      reference: 'clinician',
      date: undefined,
      title: 'Chief complaint',
      text: `Chief complaint: ${chiefComplaint}`,
    });
  }
  const chart = await readChart(
    run,
    patient.id as string,
    ['conditions', 'medicationRequests', 'medicationStatements', 'allergies', 'labs', 'vitals'],
    'DB_ERROR'
  );
  const charted: readonly (readonly Charted[])[] = [
    chart.conditions satisfies Condition[],
    chart.labs satisfies Observation[],
    chart.vitals,
    chart.allergies satisfies AllergyIntolerance[],
    chart.medicationRequests,
    chart.medicationStatements,
  ];
  for (const resource of charted.flatMap((each) => each.slice(0, MOST_FACTS))) {
    sources.add(factOf(resource, chart.medications));
  }
  return sources;
}

/** Age and sex, which a diagnosis depends on; never a name or a birth date. */
function patientPassage(patient: Patient) {
  const age = ageInYears(patient);
  const text = [
    age === undefined ? undefined : `Age: ${age} years`,
    patient.gender === undefined ? undefined : `Administrative gender: ${patient.gender}`,
  ];
  return {
    reference: `Patient/${patient.id}`,
    date: undefined,
    title: 'Patient',
    text: text.filter((line) => line !== undefined).join('\n'),
  };
}
