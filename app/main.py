import streamlit as st

st.write("hello", st.get_option("client.toolbarMode"), st.get_option("server.maxUploadSize"))
