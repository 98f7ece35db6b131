import type { CodeableConcept } from '@medplum/fhirtypes';
import { Ingredients } from './ingredients.ts';
import { type Interaction, interactionsOf } from './interactions.ts';
import type { Taken } from './medications.ts';
import type { DecisionRules } from './rules.ts';

/** What is known of a drug beside those that a patient takes. */
export interface Check {
  /** Interactions of the drug with the patient's medications, the gravest first. */
  interactions: Interaction[];
  /** Whether the drug, or a medication of the patient, is not known to the table: then no finding says nothing. */
  incomplete: boolean;
}

const CANDIDATE = 'candidate';

/**
 * The interactions that a drug would have with what a patient takes.
 * @param taken - The patient's current medications, without the one that the drug is to replace.
 */
export function checkDrug(drug: CodeableConcept, taken: readonly Taken[], rules: DecisionRules): Check {
  const ingredients = new Ingredients(rules);
  const recognition = ingredients.ofConcept(drug);
  const candidate: Taken = {
    ...recognition,
    reference: CANDIDATE,
    resourceType: 'MedicationRequest',
    product: '',
    links: [],
  };
  const found = interactionsOf([...taken, candidate], rules.interactions, ingredients);
  return {
    interactions: found.filter(({ implicated }) => implicated.includes(CANDIDATE)),
    incomplete: recognition.incomplete || taken.some(({ incomplete }) => incomplete),
  };
}
