import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

// As in web/, but for what belongs to a page that people use.
export default tseslint.config(
  { ignores: ["node_modules"] },
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      // An assertion that nobody waits for holds always.
      "@typescript-eslint/no-floating-promises": "error",
      // Fixtures that are asked for only to be there.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  { files: ["ehr/**"], extends: [reactHooks.configs.flat.recommended] },
  { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
);
