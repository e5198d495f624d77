"""Evidence into work: one use case a method. Knows no Streamlit."""
